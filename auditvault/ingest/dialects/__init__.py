"""The dialects of LLM tracing as data.

Which attribute is a header field, a content, an identifier or a claim.
"""
