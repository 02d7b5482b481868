from voice_pipeline.audio import separate
from voice_pipeline.domain import Heard, Recording, Transcript, Turn
from voice_pipeline.ports import Diarizer, Shelf


def diarize(recording: Recording, heard: Heard, *, diarizer: Diarizer, shelf: Shelf) -> Transcript:
    spans = diarizer.diarize(recording, heard, shelf.open(recording.audio))
    words = sorted((w.start or 0.0, s.channel, w) for s in heard.speech for w in s.words)

    def who(at: float, channel: int) -> int:
        best = [(abs(at - (x.start + x.end) / 2), x.speaker) for x in spans if x.channel in (None, channel)]
        inside = [x.speaker for x in spans if x.channel in (None, channel) and x.start <= at <= x.end]
        return inside[0] if inside else min(best)[1] if best else 0

    turns = []
    for at, channel, word in words:
        speaker = who(at, channel)
        if turns and turns[-1][0] == (speaker, channel):
            turns[-1][1].append(word)
        else:
            turns.append(((speaker, channel), [word]))
    names = {0: "agent", 1: "customer"}
    return Transcript(
        recording.id, "en",
        tuple(Turn(names.get(s, "unknown"), tuple(ws), c) for (s, c), ws in turns),
        heard.transcriber, diarizer.name,
        tuple(s.understood for s in heard.speech), tuple(s.confidence for s in heard.speech),
        tuple(s.active for s in heard.speech), heard.warnings,
        duration=recording.duration, channels=recording.channels, separate=separate(recording),
        audio=recording.audio,
    )
