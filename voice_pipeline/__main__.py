"""`python -m voice_pipeline` is the command `voice-pipeline`."""

from voice_pipeline.cli import main

if __name__ == "__main__":
    main()
