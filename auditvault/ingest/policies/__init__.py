"""What of a span is kept: secrets taken out, contents kept whole, cut short, or known by their hash alone."""
