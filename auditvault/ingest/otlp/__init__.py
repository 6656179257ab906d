"""OTLP/HTTP without HTTP: framing, decoding and answers, in protobuf and JSON; no Django."""
