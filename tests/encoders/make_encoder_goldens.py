#!/usr/bin/env python3
"""Makes the encoder goldens in this folder: small random SigLIP and T5 v1.1 models in the
Hugging Face layout, and what `transformers` computes with them.

    pip install torch==2.11.0 transformers==4.41.0 sentencepiece protobuf
    python tests/encoders/make_encoder_goldens.py [--out DIR] [--seed N]

Every folder that this writes is a model folder (config.json, weights, tokenizer files) plus
`expected.safetensors` with inputs and outputs, and for T5 `expected.json` with token ids.
The tests take names, sizes and texts from the files: run with another seed and point
RDT_ENCODER_GOLDENS at the result to check other models of the same kind.

`full_size.json` lists the tensors of the two models that RDT uses, built without memory.
"""

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import save_file
from transformers import (
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5TokenizerFast,
)

# Instructions as robots' data sets have them; the tokenizer is trained on these.
CORPUS = """Pick up the alphabet soup and place it in the basket.
Put both moka pots on the stove.
Turn on the stove and put the moka pot on it.
Open the top drawer and put the bowl inside.
Close the bottom drawer of the cabinet, then push the plate to the front of the stove.
Fold the white towel twice.
Pour water from the left cup into the right cup without spilling.
Insert the peg into the hole on the side of the box.
Stack the red block on the green block and the blue block on the red one.
Transfer the cube from the right arm to the left arm.
Wipe the table with the sponge; throw the paper into the bin.
Hang the mug on the rack, handle to the right.
Use the right hand to grasp the yellow mug and put it on the white plate.
Unscrew the lid of the bottle and hand it over.""".splitlines()

# What must come out the same: spaces, unknown characters, normalisation, empty, special
# tokens inside a text, padding to the longest.
TEXTS = [
    "",
    "Pick up the alphabet soup and place it in the basket.",
    "put   the\tbowl  on the   plate ",
    "  Leading and trailing space.  ",
    "Öffne die Schublade! 抽屉 😀",
    "ﬁnd the Ｃup № 5 …",
    "Stack 12 blocks (red, green) & push <extra_id_0> to the left.",
    "▁already marked▁ text",
    "Stop </s> here",
    "line one\nline two",
    "Turn on the stove and put the moka pot on it.",
]

# A few of NFKC's rules: the whole table would be most of the goldens' size.
RULES = [
    ("ﬁ", "fi"),
    ("Ｃ", "C"),
    ("№", "No"),
    ("…", "..."),
    ("\t", " "),
    ("\n", " "),
    ("O\u0308", "Ö"),
]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments.add_argument("--seed", type=int, default=20240611)
    options = arguments.parse_args()
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)

    # The whole model (here in one float16 file) with a nested configuration, as
    # google/siglip-so400m-patch14-384 is published; 40 is no multiple of 14, as 384 is not.
    vision = dict(hidden_size=36, intermediate_size=52, num_hidden_layers=2, num_attention_heads=4)
    siglip(options.out / "siglip_whole", whole=True, image_size=40, patch_size=14, **vision)
    # The vision tower alone, in shards.
    vision = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=2)
    siglip(options.out / "siglip_sharded", whole=False, image_size=21, patch_size=7, **vision)

    # The whole model in one bfloat16 file with only the sentencepiece model, as
    # google/t5-v1_1-xxl is published.
    sizes = dict(d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    t5(options.out / "t5_whole", options.seed, whole=True, dtype=torch.bfloat16, keep="spiece.model", **sizes)
    # The encoder alone, in shards, with tokenizer.json; the heads are not d_model wide.
    sizes = dict(d_model=32, d_kv=8, d_ff=48, num_layers=3, num_heads=6)
    t5(options.out / "t5_sharded", options.seed, whole=False, dtype=torch.float32, keep="tokenizer.json", **sizes)

    full_size(options.out / "full_size.json")


def randomise(model):
    """Larger weights than a fresh model has, and norms that are not 1: every term matters."""
    for name, parameter in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        elif parameter.dim() == 1:
            torch.nn.init.normal_(parameter, std=0.2)
        elif name.endswith("SelfAttention.q.weight"):
            # T5 has no scale in its attention: as in its own initialisation, it is in here.
            torch.nn.init.normal_(parameter, std=(parameter.shape[1] * model.config.d_kv) ** -0.5)
        elif "relative_attention_bias" in name or "embed" in name or "shared" in name:
            torch.nn.init.normal_(parameter, std=1.0)
        else:
            torch.nn.init.normal_(parameter, std=1.5 / parameter.shape[1] ** 0.5)


def save(model, folder, shards):
    shutil.rmtree(folder, ignore_errors=True)
    bytes_all = sum(p.numel() * p.element_size() for p in model.parameters())
    model.save_pretrained(
        folder, safe_serialization=True, max_shard_size=bytes_all // 3 if shards else bytes_all * 2
    )
    assert (folder / "model.safetensors.index.json").exists() == shards


@torch.no_grad()
def siglip(folder, whole, **vision):
    if whole:
        text = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                    vocab_size=32, max_position_embeddings=8)
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    else:
        model = SiglipVisionModel(SiglipVisionConfig(**vision))
    randomise(model)
    save(model.to(torch.float16) if whole else model, folder, shards=not whole)
    # Loaded back, the way RDT loads it.
    tower = SiglipVisionModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    size = vision["image_size"]
    images = torch.rand(2, 3, size, size) * 2 - 1
    save_file(
        {"images": images, "last_hidden_state": tower(images).last_hidden_state.contiguous()},
        folder / "expected.safetensors",
    )


@torch.no_grad()
def t5(folder, seed, whole, dtype, keep, **sizes):
    with tempfile.TemporaryDirectory() as temporary:
        tokenizer = train_tokenizer(Path(temporary), seed)
        # T5 rounds its table of word vectors up, too: 32,100 tokens, 32,128 rows.
        config = T5Config(
            vocab_size=len(tokenizer) + 28,
            feed_forward_proj="gated-gelu",
            relative_attention_num_buckets=32,
            num_decoder_layers=1,
            tie_word_embeddings=False,
            **sizes,
        )
        model = (T5ForConditionalGeneration if whole else T5EncoderModel)(config)
        randomise(model)
        save(model.to(dtype), folder, shards=not whole)
        if keep == "tokenizer.json":
            tokenizer.save_pretrained(folder)
            (folder / "spiece.model").unlink(missing_ok=True)
        else:
            shutil.copy(Path(temporary) / "spiece.model", folder / "spiece.model")
    encoder = T5EncoderModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    half = T5EncoderModel.from_pretrained(folder, torch_dtype=torch.bfloat16).eval()
    # Far enough apart for the last bucket of the relative positions, and ragged.
    ids = torch.randint(3, config.vocab_size, (2, 150))
    mask = torch.arange(150)[None, :] < torch.tensor([150, 97])[:, None]
    ids = ids * mask
    # As RDT's collation pads and masks, and its train loop encodes.
    listed = [tokenizer(t, return_tensors="pt", padding="longest", truncation=False).input_ids[0] for t in TEXTS]
    text_ids = torch.nn.utils.rnn.pad_sequence(listed, batch_first=True, padding_value=tokenizer.pad_token_id)
    text_mask = text_ids.ne(tokenizer.pad_token_id)
    save_file(
        {
            "input_ids": ids,
            "attention_mask": mask.to(torch.uint8),
            "last_hidden_state": encoder(ids, attention_mask=mask).last_hidden_state,
            "text_mask": text_mask.to(torch.uint8),
            "text_embeds": encoder(text_ids, attention_mask=text_mask).last_hidden_state,
            "text_embeds_bf16": half(text_ids, attention_mask=text_mask).last_hidden_state,
        },
        folder / "expected.safetensors",
    )
    tokens = [{"text": text, "ids": row.tolist()} for text, row in zip(TEXTS, listed)]
    write_json(folder / "expected.json", {"tokens": tokens})
    for unread in ["generation_config.json", "special_tokens_map.json", "tokenizer_config.json"]:
        (folder / unread).unlink(missing_ok=True)


def train_tokenizer(folder, seed):
    """A sentencepiece model with T5's special tokens, and `transformers`' fast form of it."""
    sentences, rules = folder / "sentences.txt", folder / "rules.tsv"
    sentences.write_text("\n".join(CORPUS * 4))
    code = lambda text: " ".join(f"{ord(c):X}" for c in text)
    rules.write_text("".join(f"{code(a)}\t{code(b)}\n" for a, b in RULES))
    sentencepiece.set_random_generator_seed(seed)
    sentencepiece.SentencePieceTrainer.train(
        input=str(sentences), model_prefix=str(folder / "spiece"), model_type="unigram", vocab_size=200,
        hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, normalization_rule_tsv=str(rules), character_coverage=1.0,
        num_threads=1, minloglevel=2,
    )
    return T5TokenizerFast(vocab_file=str(folder / "spiece.model"), extra_ids=100)


def full_size(path):
    with torch.device("meta"):
        # google/siglip-so400m-patch14-384
        vision = SiglipVisionModel(SiglipVisionConfig(
            hidden_size=1152, image_size=384, intermediate_size=4304, num_attention_heads=16,
            num_hidden_layers=27, patch_size=14))
        # google/t5-v1_1-xxl
        language = T5EncoderModel(T5Config(
            d_ff=10240, d_kv=64, d_model=4096, feed_forward_proj="gated-gelu", num_heads=64, num_layers=24,
            vocab_size=32128, relative_attention_num_buckets=32, tie_word_embeddings=False))
    shapes = lambda model: {name: list(p.shape) for name, p in model.named_parameters()}
    write_json(path, {
        "siglip": {"config": vision.config.to_diff_dict(), "tensors": shapes(vision)},
        "t5": {"config": language.config.to_diff_dict(), "tensors": shapes(language)},
    }, indent=None)


def write_json(path, content, indent=1):
    path.write_text(json.dumps(content, ensure_ascii=False, indent=indent) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
