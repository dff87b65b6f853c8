"""Gives the research example bad input and odd documents: each is refused with a sentence, or read right."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.unit.examples.reader import LEASES, THREAD, ask

TEXTS = [{"name": "a.txt", "text": "The anchor weighs 40 kilograms."}]
BAD = [
    ({"documents": ["corpus"]}, "no question"),
    ({"question": "  \n", "documents": ["corpus"]}, "question is empty"),
    ({"question": 7, "documents": ["corpus"]}, "must be text, not int"),
    ({"question": "x" * 2001, "documents": ["corpus"]}, "longer than 2000"),
    ({"question": "a\0b", "documents": ["corpus"]}, "NUL"),
    ({"question": "is it?", "documents": ["corpus"]}, "no word"),
    ({"question": "?!", "documents": ["corpus"]}, "no word"),
    ({"question": LEASES}, "no documents yet"),
    ({"question": LEASES, "documents": []}, "no documents yet"),
    ({"question": LEASES, "documents": "corpus"}, "list of paths"),
    ({"question": LEASES, "documents": [3]}, "list of paths"),
    ({"question": LEASES, "documents": ["nowhere"]}, "no file or folder 'nowhere'"),
    ({"question": LEASES, "documents": ["../.."]}, "outside"),
    ({"question": LEASES, "documents": ["/etc/passwd"]}, "outside"),
    ({"question": LEASES, "documents": ["a\0b"]}, "not a usable path"),
    ({"question": LEASES, "documents": ["x" * 5000]}, "not a usable path"),
    ({"question": LEASES, "documents": ["langgraph.json"]}, "not a .md or .txt"),
    ({"question": LEASES, "texts": "text"}, "texts must be a list"),
    ({"question": LEASES, "texts": ["text"]}, "Each of texts"),
    ({"question": LEASES, "texts": [{"name": "a"}]}, "Each of texts"),
    ({"question": LEASES, "texts": [{"name": " ", "text": "a"}]}, "Each of texts"),
    ({"question": LEASES, "texts": [*TEXTS, *TEXTS]}, "Two documents are called 'a.txt'"),
    ({"question": LEASES, "texts": [{"name": "a", "text": " \n"}]}, "no readable text"),
    ({"question": LEASES, "texts": [{"name": "a.md", "text": "```\ncode\n```"}]}, "no readable text"),
    ({"question": LEASES, "texts": [{"name": "a", "text": "a\0b"}]}, "NUL"),
    ({"question": LEASES, "texts": TEXTS, "approval": "yes"}, "true or false"),
]


@pytest.mark.parametrize(("given", "sentence"), BAD)
async def test_bad_input_is_refused_with_a_sentence(graph, given, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        await graph.ainvoke(given, THREAD)


async def test_files_that_are_no_text_are_named(graph, root):
    (root / "binary.md").write_bytes(b"\x89PNG\x00\x00")
    (root / "latin.txt").write_bytes("größer".encode("latin-1"))
    (root / "wide.txt").write_bytes("wide".encode("utf-16"))
    (root / "empty").mkdir()
    (root / "empty" / "picture.png").touch()
    (root / "blank").mkdir()
    (root / "blank" / "a.md").write_text("\n\n")
    for name, sentence in {
        "binary.md": "'binary.md' is not UTF-8",
        "latin.txt": "'latin.txt' is not UTF-8",
        "wide.txt": "'wide.txt' is not UTF-8",
        "empty": "'empty' holds no .md or .txt",
        "blank": "no readable text",
    }.items():
        with pytest.raises(ValueError, match=re.escape(sentence)):
            await ask(graph, LEASES, documents=[name])


async def test_too_much_is_refused(graph, root, monkeypatch):
    corpus = importlib.import_module("agents.corpus")
    monkeypatch.setattr(corpus, "FILE_BYTES", 2048)
    monkeypatch.setattr(corpus, "ALL_BYTES", 4096)
    monkeypatch.setattr(corpus, "FILES", 3)
    (root / "big.txt").write_text("long " * 500)
    with pytest.raises(ValueError, match=r"'big.txt' is larger than 2 KiB"):
        await ask(graph, LEASES, documents=["big.txt"])
    with pytest.raises(ValueError, match="larger than 4 KiB together"):
        await ask(graph, LEASES, texts=[{"name": str(n), "text": "long " * 300} for n in range(3)])
    with pytest.raises(ValueError, match="More than 3 documents"):
        await ask(graph, LEASES, texts=[{"name": str(n), "text": "a"} for n in range(4)])
    (root / "many").mkdir()
    for n in range(4):
        (root / "many" / f"{n}.md").write_text("a")
    with pytest.raises(ValueError, match="'many' holds more than 3"):
        await ask(graph, LEASES, documents=["many"])


async def test_only_files_below_the_root_are_read(graph, root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.md"
    outside.write_text("The secret word is swordfish.")
    (root / "link.md").symlink_to(outside)
    (root / ".hidden.md").write_text("The hidden word is flounder.")
    (root / "open.md").write_text("The open word is herring.")
    with pytest.raises(ValueError, match="outside"):
        await ask(graph, "What is the secret word?", documents=["link.md"])
    result = await ask(graph, "What is the secret word?", documents=["."])
    assert [source["name"] for source in result["sources"]] == ["open.md"]
    assert "swordfish" not in result["report"]


async def test_a_missing_root_is_named(graph, monkeypatch, tmp_path):
    monkeypatch.setenv("RESEARCH_ROOT", str(tmp_path / "gone"))
    with pytest.raises(ValueError, match="RESEARCH_ROOT is not a folder"):
        await ask(graph, LEASES, documents=["corpus"])


async def test_nothing_in_a_document_comes_alive_in_the_report(graph):
    text = "The anchor <script>alert(1)</script> weighs `<b>` 40 kilograms. See [the list](https://example.org/a)."
    result = await ask(graph, "How heavy is the anchor <b>?", texts=[{"name": "a`b.md", "text": text}])
    assert "&lt;script&gt;" in result["report"]
    assert "<script>" not in result["report"]
    assert "`<b>`" in result["report"]
    assert "# How heavy is the anchor &lt;b&gt;?" in result["report"]


MARKDOWN = """---
title: not a sentence
---
First title
===========

A paragraph that runs
over two lines. Dr. No has 3.5 boats, e.g. this one. It ends here!

```python
code = "Not a sentence."
```

## Second *level*
- an item
- [ ] another item
  that goes on
1. counted

| Name | Size |
|------|------|
| boat | 3 m  |

> quoted words.

See [the page](page.md "title") and ![picture](a.png) **now**.
"""


def test_passages_know_their_lines_and_headings(agents):
    split = importlib.import_module("agents.passages").split
    found = [
        (passage["heading"], sentence["text"], sentence["line"], sentence["end"])
        for passage in split("a.md", MARKDOWN)
        for sentence in passage["sentences"]
    ]
    first, second = "First title", "First title › Second *level*"
    assert found == [
        (first, "A paragraph that runs over two lines.", 7, 8),
        (first, "Dr. No has 3.5 boats, e.g. this one.", 8, 8),
        (first, "It ends here!", 8, 8),
        (second, "an item", 15, 15),
        (second, "another item that goes on", 16, 17),
        (second, "counted", 18, 18),
        (second, "Name · Size", 20, 20),
        (second, "boat · 3 m", 22, 22),
        (second, "quoted words.", 24, 24),
        (second, "See the page and picture now.", 26, 26),
    ]


@pytest.mark.parametrize("end", ["\r\n", "\r"])
async def test_lines_are_counted_as_editors_do(graph, root, end):
    (root / "a.txt").write_bytes(end.join(["one\x0btwo\u2028three.", "", "The anchor weighs 40 kg."]).encode())
    assert "(`a.txt:3`)" in (await ask(graph, "What does the anchor weigh?", documents=["a.txt"]))["answer"]


@pytest.mark.parametrize(
    ("sentence", "amounts"),
    [
        ("It took 3 hours and 10 minutes.", [("3 hours and 10 minutes", 11400.0)]),
        ("It cost €18,400 or 1.94 million USD.", [("€18,400", 18400.0), ("1.94 million USD", 1940000.0)]),
        ("On 11 February 2026 at 09:12 UTC nothing happened.", []),
        ("They wait 15 seconds less, in decision 004 of 2026.", []),
        (
            "About 40 declarations and 99.93 % of 2 GB.",
            [("About 40 declarations", 40.0), ("99.93 %", 99.93), ("2 GB", 2e9)],
        ),
        ("Every 6 hours, 34 per month.", [("6 hours", 21600.0), ("34 per month", 34.0)]),
    ],
)
def test_amounts_are_read(agents, sentence, amounts):
    found = importlib.import_module("agents.facts").amounts(sentence)
    assert [(amount.shown, amount.value) for amount in found] == amounts
