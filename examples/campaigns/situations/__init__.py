"""Situations that users of pretrained decoders report, played on decoders small enough to know the answer."""
