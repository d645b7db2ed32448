"""Every call names its voice in a header, which proxies can route by."""

import numpy as np
import pytest
from conftest import run_timbre, speech
from proxies import Settings

import timbre

# Kind -> a change of its settings: calls without the header go nowhere.
ONLY_WITH_SPEAKER = {
    "nginx": ("location / {",
              'location / { if ($http_timbre_speaker = "") { return 403; }'),
    "haproxy": ("    default_backend",
                "    use_backend timbred if { req.hdr(timbre-speaker) voice }"
                "\n#"),
    "envoy": ("{prefix: /}",
              "{prefix: /, headers: [{name: timbre-speaker,"
              " string_match: {exact: voice}}]}"),
}


def test_every_call_names_its_voice(pair, kind, tmp_path):
    _, proxy = pair(Settings.MINIMAL, changes=[ONLY_WITH_SPEAKER[kind]])
    frames = speech(200, 256)
    np.save(tmp_path / "x.npy", frames)
    with timbre.Client(proxy.address, timeout_s=10) as client:
        client.build("voice", frames, index_factory="Flat")
        client.tune("voice", frames)
        voice = client.speaker("voice")
        voice.blend(frames)
        voice.search(frames)
        np.testing.assert_array_equal(voice.frames(), frames)
        client.activate_version("voice", 1)
    with timbre.Client(proxy.address, timeout_s=0.5) as client:
        with pytest.raises(timbre.Error):
            list(client.list_speakers())  # of no voice
    for arguments in (
        ("build", "voice", "x.npy", "--index_factory=Flat"),
        ("tune", "voice", "x.npy"),
        ("blend", "voice", "x.npy", "out.npy"),
        ("search", "voice", "x.npy"),
        ("frames", "voice", "back.npy"),
        ("show", "voice"),
        ("export", "voice", "--format=npy"),
        ("delete", "voice"),
    ):
        run_timbre(proxy, *arguments, cwd=tmp_path)
