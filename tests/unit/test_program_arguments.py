"""What `python -m <service>` may be told on the command line."""

import pytest

from booking_svc.wiring import PROGRAM
from chassis import program


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--phase", "pre"],
        ["--pending"],
        ["migrate", "--pending", "--phase", "post"],
        ["migrate", "--phase", "both"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An option where it means nothing is a mistake, exit code 2, and nothing is done."""
    with pytest.raises(SystemExit) as ended:
        program.main(PROGRAM, arguments)
    assert ended.value.code == program.EXIT_USAGE
    assert "--phase" in capsys.readouterr().err
