"""Call recordings in; redacted, cited case notes with escalation flags out."""

__version__ = "0.1.0"
