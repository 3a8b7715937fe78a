"""Small real tokenisers, made in memory from a few sentences of our own, one per architecture family."""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

SENTENCES = (
    "The nurse said that she was tired, and the doctor said that he was not.",
    "My neighbour from the north grows apples, plums and roses behind her house.",
    "An old man and a young woman played the piano in the park on Sunday.",
    "People who work hard are often late, but they are not lazy at all!",
    "The engineer asked the teacher whether the children liked their new books.",
    "He is a good cook; she is a good driver; they are good friends.",
    "Where did the farmer go, and why was the lawyer so angry with him?",
    "In 1984 there were 37 boats in the harbour, 12 of them painted red.",
)
"""Written for these tests; no sentence is taken from a data set."""

_BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BYTE_LEVEL_SIZE = 300
WORD_SIZE = 260


def _wordpiece(lowercase: bool = True) -> PreTrainedTokenizerBase:
    """BERT's kind: [CLS] … [SEP]; a word is one token, or pieces that go on with ##. Its training would not be the same
    twice (ties fall as they may), so the vocabulary is written down: characters, ends of words, the commoner words."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    words = Counter("".join(c if c.isalnum() else " " for c in " ".join(SENTENCES).lower()).split())
    endings = ("s", "ed", "er", "ing", "ly", "ear", "ne", "ou", "ar", "en")
    letters = string.ascii_lowercase + string.digits
    pieces = [*string.punctuation, *letters, *(f"##{c}" for c in letters), *(f"##{e}" for e in endings if len(e) > 1)]
    common = [word for word, _ in sorted(words.items(), key=lambda entry: (-entry[1], entry[0])) if len(word) > 1]
    vocabulary = [*_BERT_SPECIAL, *pieces, *common][:WORD_SIZE]
    tokenizer = Tokenizer(models.WordPiece({token: n for n, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = _pair_template(tokenizer, "[CLS]", "[SEP]")
    return _wrapped(tokenizer, **_bert_tokens(), model_input_names=["input_ids", "token_type_ids", "attention_mask"])


def _distilbert() -> PreTrainedTokenizerBase:
    tokenizer = _wordpiece()
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer


def _unigram() -> PreTrainedTokenizerBase:
    """ALBERT's kind: pieces with a leading blank mark, lower-cased, [CLS] … [SEP]; its vocabulary is written down."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    words = Counter(" ".join(SENTENCES).lower().split())
    common = sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))[:60]
    total = sum(words.values())
    pieces = [(token, 0.0) for token in _BERT_SPECIAL]
    pieces += [("▁", -6.0), *((c, -9.0) for c in string.ascii_lowercase + string.digits + string.punctuation)]
    pieces += [(f"▁{word}", math.log(count / total)) for word, count in common]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=1))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = _pair_template(tokenizer, "[CLS]", "[SEP]")
    return _wrapped(tokenizer, **_bert_tokens(), model_input_names=["input_ids", "token_type_ids", "attention_mask"])


def _roberta() -> PreTrainedTokenizerBase:
    from tokenizers.processors import RobertaProcessing
    from transformers import AddedToken

    tokenizer = _byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    end, start = (("</s>", 2), ("<s>", 0))
    tokenizer.post_processor = RobertaProcessing(end, start, trim_offsets=True, add_prefix_space=False)
    mask = AddedToken("<mask>", lstrip=True, special=True)
    return _wrapped(
        tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token=mask,
    )


def _gpt2() -> PreTrainedTokenizerBase:
    """Also Phi's: one special token that is BOS, EOS and unknown; nothing is put in front; no padding token."""
    end = "<|endoftext|>"
    return _wrapped(_byte_level([end]), bos_token=end, eos_token=end, unk_token=end)


def _gpt_neox() -> PreTrainedTokenizerBase:
    end = "<|endoftext|>"
    tokenizer = _byte_level([end, "<|padding|>"])
    return _wrapped(tokenizer, bos_token=end, eos_token=end, unk_token=end)


def _qwen2() -> PreTrainedTokenizerBase:
    """No BOS at all; the end of text serves for padding."""
    end = "<|endoftext|>"
    return _wrapped(_byte_level([end]), eos_token=end, pad_token=end)


def _opt() -> PreTrainedTokenizerBase:
    """`</s>` in front of every text, as OPT was trained."""
    tokenizer = _byte_level(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = _start_template(tokenizer, "</s>")
    return _wrapped(tokenizer, bos_token="</s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


def _llama() -> PreTrainedTokenizerBase:
    """SentencePiece-like BPE with byte fall-back and `<s>` in front; no padding token."""
    tokenizer = _byte_fallback(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = _start_template(tokenizer, "<s>")
    return _wrapped(tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _phi3() -> PreTrainedTokenizerBase:
    tokenizer = _byte_fallback(["<unk>", "<s>", "</s>", "<|endoftext|>"])
    end = "<|endoftext|>"
    return _wrapped(tokenizer, bos_token="<s>", eos_token=end, pad_token=end, unk_token="<unk>")


def _gemma() -> PreTrainedTokenizerBase:
    tokenizer = _byte_fallback(["<pad>", "<eos>", "<bos>", "<unk>"])
    tokenizer.post_processor = _start_template(tokenizer, "<bos>")
    return _wrapped(tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "bert": _wordpiece,
    "roberta": _roberta,
    "distilbert": _distilbert,
    "albert": _unigram,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "opt": _opt,
    "llama": _llama,
    "qwen2": _qwen2,
    "gemma": _gemma,
    "phi": _gpt2,
    "phi3": _phi3,
}


def _byte_level(special: list[str]) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=BYTE_LEVEL_SIZE,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def _byte_fallback(special: list[str]) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1, right=0),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=350, special_tokens=[*special, *(f"<0x{b:02X}>" for b in range(256))], show_progress=False
    )
    # Words are given one by one, so that no merge crosses a blank.
    tokenizer.train_from_iterator((w for s in SENTENCES for w in s.split()), trainer)
    return tokenizer


def _pair_template(tokenizer: Tokenizer, start: str, end: str) -> Any:
    from tokenizers.processors import TemplateProcessing

    ids = [(token, tokenizer.token_to_id(token)) for token in (start, end)]
    return TemplateProcessing(single=f"{start} $A {end}", pair=f"{start} $A {end} $B:1 {end}:1", special_tokens=ids)


def _start_template(tokenizer: Tokenizer, start: str) -> Any:
    from tokenizers.processors import TemplateProcessing

    return TemplateProcessing(
        single=f"{start} $A",
        pair=f"{start} $A {start}:1 $B:1",
        special_tokens=[(start, tokenizer.token_to_id(start))],
    )


def _bert_tokens() -> dict[str, Any]:
    return {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }


def _wrapped(tokenizer: Tokenizer, **settings: Any) -> PreTrainedTokenizerBase:
    from transformers import PreTrainedTokenizerFast

    settings = {"clean_up_tokenization_spaces": False, "model_max_length": 128, **settings}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **settings)
