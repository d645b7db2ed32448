"""The descriptors that the package carries are those of proto/."""

import shutil
import subprocess

import pytest
from conftest import ROOT
from google.protobuf import descriptor_pb2
from timbre import _contract


@pytest.mark.skipif(not shutil.which("protoc"), reason="no protoc")
def test_carried_descriptors_are_those_of_the_contract(tmp_path):
    subprocess.run(
        [
            "protoc",
            f"-I{ROOT / 'proto'}",
            "--include_imports",
            f"--descriptor_set_out={tmp_path / 'now'}",
            "timbre/v1/retrieval.proto",
            "timbre/rpc/status.proto",
        ],
        check=True,
    )
    carried = ROOT / "client" / "python" / "timbre" / "contract.binpb"
    files = [
        descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
        for path in (carried, tmp_path / "now")
    ]
    assert files[0] == files[1], "run script/contract"


def test_our_messages_do_not_clash_with_those_of_another_package():
    from google.protobuf import descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(
        name="timbre/v1/retrieval.proto", package="somebody.else"
    )
    file.message_type.add(name="Frames")
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    assert _contract.Frames(dimension=3).dimension == 3


def test_enums_have_names_without_prefix():
    assert _contract.METRICS["inner_product"] == 2
    assert _contract.STAGES["queued"] == 7
