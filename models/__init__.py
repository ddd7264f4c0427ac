"""Networks and checkpoints: readers of files, tokenizers, forward passes, recorded layers."""
