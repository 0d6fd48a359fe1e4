import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.wire.answers import (
    ChipSummary,
    Measurements,
    Version,
    decode_measurements,
    decode_summary,
    decode_version,
    encode_measurements,
    encode_summary,
    encode_version,
)
from orchestrator.wire.boot import (
    BootMessage,
    decode_boot,
    encode_boot,
    swap_words,
)
from orchestrator.wire.datagrams import (
    HOST,
    REPLY_EXPECTED,
    ScpReply,
    ScpRequest,
    SdpAddress,
    SdpMessage,
    decode_reply,
    decode_request,
    decode_sdp,
    encode_reply,
    encode_request,
    encode_sdp,
    sequence_of,
)
from orchestrator.wire.numbers import Result

BYTE = st.integers(0, 255)
WORD = st.integers(0, 2**32 - 1)
SHORT = st.integers(0, 2**16 - 1)
ADDRESSES = st.builds(SdpAddress, BYTE, BYTE, st.integers(0, 31), st.integers(0, 7))
MESSAGES = st.builds(SdpMessage, ADDRESSES, ADDRESSES, st.binary(max_size=272), BYTE, BYTE)
REQUESTS = st.builds(ScpRequest, SHORT, SHORT, WORD, WORD, WORD, st.binary(max_size=256))
REPLIES = st.builds(ScpReply, SHORT, SHORT, st.binary(max_size=256))


@given(MESSAGES)
def test_messages_come_back(message):
    assert decode_sdp(encode_sdp(message)) == message


@given(REQUESTS)
def test_requests_come_back(request):
    data = encode_request(request)
    assert decode_request(data) == request
    assert sequence_of(data) == request.sequence


@given(REPLIES)
def test_replies_come_back(reply):
    assert decode_reply(encode_reply(reply)) == reply


@given(st.binary(max_size=400))
def test_any_bytes_decode_to_a_value_or_a_result(data):
    for decode in (
        decode_sdp,
        decode_request,
        decode_reply,
        decode_version,
        decode_summary,
        decode_measurements,
    ):
        value = decode(data)
        assert isinstance(value, Result | tuple)
    message = decode_sdp(data)
    if not isinstance(message, Result):
        assert encode_sdp(message)[2:] == data[2:]


@pytest.mark.parametrize(
    ("decode", "least", "most"), [(decode_sdp, 10, 282), (decode_request, 16, 272)]
)
def test_lengths_at_their_limits(decode, least, most):
    for size, allowed in ((least - 1, False), (least, True), (most, True), (most + 1, False)):
        assert (decode(bytes(size)) != Result.LENGTH) == allowed


def test_a_version_request_is_the_one_that_spinnman_sends():
    # The bytes of spinnman 1!7.4.1's GetVersion(255, 255, 0) as its connection sends them.
    sent = bytes.fromhex("0000 87ff 00ff ffff ffff 0000 0100 00000000 00000000 00000000")
    message = decode_sdp(sent)
    assert message == SdpMessage(SdpAddress(255, 255, 0), HOST, sent[10:], REPLY_EXPECTED | 7, 0xFF)
    assert decode_request(message.data) == ScpRequest(0, 1, 0, 0, 0)


def test_an_answer_goes_back_to_its_sender():
    request = SdpMessage(SdpAddress(3, 4, 5, 1), SdpAddress(0, 0, 31, 7), b"a", 0x87, 0xFF)
    answer = request.answered(b"b", tag=9)
    assert answer == SdpMessage(request.source, request.destination, b"b", 0x07, 9)


@given(
    BYTE,
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30),
    WORD,
)
def test_versions_come_back(number, name, built):
    version = Version(number, 3, 255, number, name, "4.0.0", built)
    assert decode_version(encode_version(version)) == version


@given(
    st.builds(
        ChipSummary,
        n_cores=st.integers(1, 18),
        links=st.integers(0, 63),
        router_entries=st.integers(0, 1023),
        ethernet_up=st.booleans(),
        sdram_bytes=WORD,
        system_ram_bytes=WORD,
        states=st.binary(min_size=18, max_size=18),
        ethernet_x=BYTE,
        ethernet_y=BYTE,
        ip_address=st.binary(min_size=4, max_size=4),
        parent_link=st.integers(0, 7),
    )
)
def test_summaries_come_back(summary):
    assert len(encode_summary(summary)) == 38
    assert decode_summary(encode_summary(summary)) == summary


def test_measurements_come_back():
    measured = Measurements(
        (0, 1966, 1966, 1966, 2949, 0, 3604, 3277),
        (25.5, -3.25, 0.0, 0.0),
        (None, 40.0, 0.0, 0.0),
        (None, 3000, 0, 0),
    )
    data = encode_measurements(measured)
    assert len(data) == 48
    assert decode_measurements(data) == measured


@given(st.builds(BootMessage, WORD, WORD, WORD, WORD, st.binary(max_size=1024)))
def test_boot_messages_come_back(message):
    assert decode_boot(encode_boot(message)) == message


@given(st.binary(max_size=1100))
def test_any_bytes_are_a_boot_message_or_refused(data):
    message = decode_boot(data)
    if isinstance(message, Result):
        assert not 18 <= len(data) <= 1042 or data[:2] != b"\x00\x01"
    else:
        assert encode_boot(message) == data


@given(st.binary(max_size=64).map(lambda data: data[: len(data) // 4 * 4]))
def test_swapping_words_twice_changes_nothing(data):
    assert swap_words(swap_words(data)) == data
    assert swap_words(data)[:4] == data[:4][::-1]
