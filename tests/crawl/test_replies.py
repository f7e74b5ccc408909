"""The journal of a search: what stands is read back, what is torn is cut off."""

from datetime import UTC, datetime

import pytest

from corpuskit.crawl.replies import Replies, Reply
from corpuskit.crawl.results import NoResult, Page, Result
from corpuskit.errors import TargetError

RESULT = Result(
    "a", None, "https://a.example/a.jpg", "né", 1, None, "by", "2.0", None, None, "x", ["t"], "jpg"
)
FIRST = Reply(
    0, Page((RESULT, NoResult("images.search_type")), {"page": 2}), datetime(2026, 1, 1, tzinfo=UTC)
)
SECOND = Reply(0, None, None, "500", 500)
THIRD = Reply(2, Page((), None), datetime(2026, 1, 2, tzinfo=UTC))


@pytest.fixture
def path(tmp_path):
    with Replies(tmp_path / "j", "key") as replies:
        for reply in (FIRST, SECOND, THIRD):
            replies.add(reply)
    return tmp_path / "j"


def test_replies_are_read_back_in_order_and_new_ones_follow(path):
    with Replies(path, "key") as replies:
        assert [replies.next(0), replies.next(0), replies.next(0)] == [FIRST, SECOND, None]
        assert replies.next(1) is None and replies.next(2) == THIRD and replies.next(3) is None
        replies.add(FIRST._replace(row=3))
    with Replies(path, "key") as replies:
        assert [replies.next(row).row for row in (0, 0, 2, 3)] == [0, 0, 2, 3]


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_a_torn_line_is_cut_off(path, cut):
    path.write_bytes(path.read_bytes()[:-cut])
    with Replies(path, "key") as replies:
        assert [replies.next(0), replies.next(0), replies.next(2)] == [FIRST, SECOND, None]
        replies.add(THIRD)
    with Replies(path, "key") as replies:
        assert [replies.next(0), replies.next(0), replies.next(2)] == [FIRST, SECOND, THIRD]


def test_a_torn_first_line_is_begun_again(tmp_path):
    (tmp_path / "j").write_bytes(b'{"replies":1,"ta')
    with Replies(tmp_path / "j", "key") as replies:
        assert replies.next(0) is None
    with Replies(tmp_path / "j", "key"):
        assert (tmp_path / "j").read_text().count("\n") == 1


def test_replies_can_be_taken_back(path):
    with Replies(path, "key") as replies:
        replies.next(0)
        mark = replies.mark
        replies.next(0)
        replies.forget(mark)
        assert replies.next(2) is None
    with Replies(path, "key") as replies:
        assert [replies.next(0), replies.next(0)] == [FIRST, None]


def test_another_search_is_refused(path):
    with pytest.raises(TargetError, match="another search"):
        Replies(path, "other")
