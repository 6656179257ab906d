"""The HTTP interface for machines: parse, call one service, answer. Statuses are decided here only."""
