"""Path templates: what the grammar allows is read, what it does not is refused where it stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.template import Template, TemplateError, Variable, parse

READ = {
    "/": Template("/", (), "", ()),
    "/v1": Template("/v1", ("v1",), "", ()),
    "/v1/*/x": Template("/v1/*/x", ("v1", "*", "x"), "", ()),
    "/**": Template("/**", ("**",), "", ()),
    "/**:all": Template("/**:all", ("**",), "all", ()),
    "/v1/{id}": Template("/v1/{id}", ("v1", "*"), "", (Variable(("id",), 1, 1, is_multi=False),)),
    "/{a=*}": Template("/{a=*}", ("*",), "", (Variable(("a",), 0, 1, is_multi=False),)),
    "/{a=b}": Template("/{a=b}", ("b",), "", (Variable(("a",), 0, 1, is_multi=False),)),
    "/{a=b/c}": Template("/{a=b/c}", ("b", "c"), "", (Variable(("a",), 0, 2, is_multi=True),)),
    "/v1/{a=**}": Template(
        "/v1/{a=**}", ("v1", "**"), "", (Variable(("a",), 1, None, is_multi=True),)
    ),
    "/v1/{a_1.B.c=x/*/y/**}:do": Template(
        "/v1/{a_1.B.c=x/*/y/**}:do",
        ("v1", "x", "*", "y", "**"),
        "do",
        (Variable(("a_1", "B", "c"), 1, None, is_multi=True),),
    ),
    "/{a}/-/{b=x/*}:v": Template(
        "/{a}/-/{b=x/*}:v",
        ("*", "-", "x", "*"),
        "v",
        (Variable(("a",), 0, 1, is_multi=False), Variable(("b",), 2, 2, is_multi=True)),
    ),
    "/a.b~c_d!$&'()+,;=@%2F/x": Template(
        "/a.b~c_d!$&'()+,;=@%2F/x", ("a.b~c_d!$&'()+,;=@%2F", "x"), "", ()
    ),
    # Names, not ways up.
    "/./..": Template("/./..", (".", ".."), "", ()),
}
REFUSED = [
    ("", 1, "starts with '/'"),
    ("v1/x", 1, "starts with '/'"),
    ("//x", 2, "expected a segment, not '/'"),
    ("/v1/", 5, "expected a segment"),
    ("/v1//x", 5, "expected a segment, not '/'"),
    ("/:verb", 2, "expected a segment, not ':'"),
    ("/v1/:verb", 5, "expected a segment, not ':'"),
    ("/v1:", 5, "expected a verb"),
    ("/v1:a:b", 6, "expected '/', ':' or the end, not ':'"),
    ("/v1:a/b", 6, "expected '/', ':' or the end, not '/'"),
    ("/v1:*", 5, "expected a verb, not '*'"),
    ("/v1:{a}", 5, "expected a verb, not '{'"),
    ("/***", 4, "expected '/', ':' or the end, not '*'"),
    ("/*a", 3, "expected '/', ':' or the end, not 'a'"),
    ("/a*", 3, "'*' cannot stand in a segment"),
    ("/a{b}", 3, "'{' cannot stand in a segment"),
    ("/{b}a", 5, "expected '/', ':' or the end, not 'a'"),
    ("/{a}{b}", 5, "expected '/', ':' or the end, not '{'"),
    ("/a}", 3, "expected '/', ':' or the end, not '}'"),
    ("/**/a", 4, "'**' is the last segment"),
    ("/{a=**}/b", 8, "'**' is the last segment"),
    ("/{a=**}/{b=**}", 8, "'**' is the last segment"),
    ("/{a=x/**/y}", 9, "'**' is the last segment"),
    ("/{", 3, "expected the name of a field"),
    ("/{}", 3, "expected the name of a field, not '}'"),
    ("/{=x}", 3, "expected the name of a field, not '='"),
    ("/{1a}", 3, "expected the name of a field, not '1'"),
    ("/{ä}", 3, "expected the name of a field, not 'ä'"),
    ("/{a.}", 5, "expected the name of a field, not '}'"),
    ("/{a..b}", 5, "expected the name of a field, not '.'"),
    ("/{a-b}", 4, "not closed"),
    ("/{a", 4, "not closed"),
    ("/{a=", 5, "expected a segment"),
    ("/{a=}", 5, "expected a segment, not '}'"),
    ("/{a=/b}", 5, "expected a segment, not '/'"),
    ("/{a=b/}", 7, "expected a segment, not '}'"),
    ("/{a=b", 6, "not closed"),
    ("/{a=b:c}", 6, "not closed"),
    ("/{a={b}}", 5, "a variable stands in another one"),
    ("/{a=x/{b}}", 7, "a variable stands in another one"),
    ("/{a}/{b}/{a}", 10, "a is bound twice"),
    ("/{a.b}/{a.b=x/*}", 8, "a.b is bound twice"),
    ("/a b", 3, "' ' cannot stand in a segment"),
    ("/ä", 2, "expected a segment, not 'ä'"),
    ("/a?b", 3, "'?' cannot stand in a segment"),
    ("/a#", 3, "'#' cannot stand in a segment"),
    ("/a%", 3, "'%' cannot stand in a segment"),
    ("/a%2", 3, "'%' cannot stand in a segment"),
    ("/%zz", 2, "expected a segment, not '%'"),
    ("/a\n", 3, r"'\n' cannot stand in a segment"),
    ("/v1:a%", 6, "'%' cannot stand in a verb"),
]

names = st.tuples(st.sampled_from("azAZ_"), st.text("azAZ_09", max_size=4)).map("".join)
pieces = st.sampled_from([*"azAZ09-._~!$&'()+,;=@", "%2F", "%2f", "%00"])
literals = st.lists(pieces, min_size=1, max_size=5).map("".join)
parts = st.lists(literals | st.just("*"), min_size=1, max_size=4)


@pytest.mark.parametrize("text", READ)
def test_a_template_is_read(text: str) -> None:
    """Each form of the grammar is read into its segments, its verb and its variables."""
    assert parse(text) == READ[text]


@pytest.mark.parametrize(("text", "column", "what"), REFUSED)
def test_a_wrong_template_is_refused_where_it_is_wrong(text: str, column: int, what: str) -> None:
    """What breaks the grammar is refused with the template, the column and what is wrong there."""
    with pytest.raises(TemplateError) as raised:
        parse(text)
    assert raised.value.column == column
    assert raised.value.template == text
    assert str(raised.value).startswith(f"{text!r}, column {column}: ")
    assert what in str(raised.value)


@given(
    before=st.lists(literals | st.just("*"), max_size=3),
    path=st.lists(names, min_size=1, max_size=3),
    inside=parts,
    to_the_end=st.booleans(),
    verb=literals | st.just(""),
)
def test_a_template_that_is_put_together_is_read_apart(
    *, before: list[str], path: list[str], inside: list[str], to_the_end: bool, verb: str
) -> None:
    """Whatever segments, field path and verb a template is written of, these are read from it."""
    inside = [*inside, "**"] if to_the_end else inside
    variable = f"{{{'.'.join(path)}={'/'.join(inside)}}}"
    text = "/" + "/".join([*before, variable]) + (f":{verb}" if verb else "")
    read = parse(text)
    assert (read.text, read.segments, read.verb) == (text, (*before, *inside), verb)
    count = None if to_the_end else len(inside)
    multi = to_the_end or len(inside) > 1
    assert read.variables == (Variable(tuple(path), len(before), count, is_multi=multi),)


@given(st.text("/{}=*:.a_%2 ", max_size=12) | st.text(max_size=8))
def test_any_text_is_read_or_refused_within_it(text: str) -> None:
    """No text does anything but be read, or be refused at one of its columns or just behind."""
    try:
        read = parse(text)
    except TemplateError as refused:
        column = refused.column
    else:
        column = len(read.text)
        assert read.text == text
    assert 1 <= column <= len(text) + 1
