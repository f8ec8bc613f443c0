"""Features of these tests are kept in a folder of their own."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def cache_of_tests(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MVLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
