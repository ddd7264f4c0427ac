"""A language model whose linear layers run on an accelerator: engines, generation, perplexity, reports."""
