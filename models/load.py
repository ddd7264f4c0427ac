"""Models by name or path."""

from ..support.data import find_model
from .llama import Llama
from .tokenizer import Tokenizer

DEFAULT_MODEL = "stories260K"


def load_model(name_or_path: str = DEFAULT_MODEL, tokenizer: str | None = None) -> tuple[Llama, Tokenizer]:
    """Returns the model that `mixpe.support.data.find_model` finds, and its tokenizer.

    The tokenizer has as many tokens as the model.

    Raises `UserError` for files that are not there or hold something else.
    """
    checkpoint, vocabulary = find_model(name_or_path, tokenizer)
    model = Llama.load(checkpoint)
    return model, Tokenizer.load(vocabulary, model.config.vocab)
