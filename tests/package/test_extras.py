import pytest

from jaxcorr import extras
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast


def test_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(extras.MODULES, "plots", ("absent_package",))
    message = r"^drawing needs absent_package, .*: pip install 'jaxcorr\[plots\]'$"
    with (
        pytest.raises(UserError, match=message),
        extras.needs_extra("plots", "drawing"),
    ):
        import absent_package.figure  # pyright: ignore  # noqa: F401


def test_other_missing_package_is_not_hidden():
    with (
        pytest.raises(ModuleNotFoundError, match="absent_package"),
        extras.needs_extra("plots", "drawing"),
    ):
        import absent_package  # pyright: ignore  # noqa: F401
