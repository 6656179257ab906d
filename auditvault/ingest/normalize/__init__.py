"""From a span of any dialect to an `Interaction`: checks, handlers, events, and the span itself."""
