"""Parts in object stores: a server of S3 in this process, asked by the real command line."""

import gzip
import json

import pytest
from installed import spec_of
from models import SmallModel
from processes import run_lrp

for package in ("s3fs", "moto", "flask", "boto3"):
    spec_of(package)

import boto3  # noqa: E402
from moto.s3.responses import S3Response  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
BLOCK = 2048
LINES = [f"the film is {'not ' * (number % 5)}bad" for number in range(600)]


@pytest.fixture(scope="module")
def server():
    """Where a server listens, to which alone anything is sent."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(server, monkeypatch, tmp_path):
    """A client of the server, whose bucket has a corpus that is in the folder `in` as well."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": server}.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=server)
    bucket = client.create_bucket(Bucket="lrp") and "lrp"
    for found in client.list_objects_v2(Bucket=bucket).get("Contents", []):
        client.delete_object(Bucket=bucket, Key=found["Key"])
    (tmp_path / "in").mkdir()
    contents = {
        "big.txt": "".join(f"{line}\n" for line in LINES).encode(),
        "small.txt": b"the film\n",
        "odd[1]?.txt": b"not bad\n",
        "packed.txt.gz": gzip.compress(b"not bad\n" * 9),
    }
    for name, data in contents.items():
        (tmp_path / "in" / name).write_bytes(data)
        client.put_object(Bucket=bucket, Key=f"in/{name}", Body=data)
    SmallModel(tmp_path).save()
    return client


@pytest.fixture
def lrp(s3, tmp_path):
    def call(*arguments, status=0):
        done = run_lrp(*arguments, cwd=tmp_path, block_steps=BLOCK // 8)
        assert done.returncode == status, done.stderr.decode()
        assert b"Traceback" not in done.stderr
        assert b"Unclosed" not in done.stderr
        return done

    return call


# Whose part is sent in several uploads.
LONG = b"the film is not bad\n" * 60_000
RUN = ("explain", "model.npz", "s3://lrp/in/", "-o", "s3://lrp/out/", "--shard-size", "4K")


@pytest.fixture
def uploads(monkeypatch):
    """Uploads in pieces of the smallest size that there may be; how many there were."""
    monkeypatch.setenv("FSSPEC_S3", json.dumps({"default_block_size": 5 * 2**20}))
    put, count = S3Response.upload_part, [0]

    def counted(self):
        count[0] += 1
        return put(self)

    monkeypatch.setattr(S3Response, "upload_part", counted)
    return lambda: count[0]


def objects(s3, prefix):
    found = s3.list_objects_v2(Bucket="lrp", Prefix=prefix).get("Contents", [])
    read = {each["Key"].removeprefix(prefix): each["Key"] for each in found}
    return {name: s3.get_object(Bucket="lrp", Key=key)["Body"].read() for name, key in read.items()}


def parts(s3):
    return {name: data for name, data in objects(s3, "out/").items() if name[0] != "_"}


def local_parts(folder, form="tsv"):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob(f"*.{form}")
        if "_lrp" not in path.parts
    }


class TestStores:
    @pytest.mark.parametrize("more", [("--jobs", "1"), ("--jobs", "2")])
    def test_have_the_parts_that_a_folder_has(self, more, s3, lrp, tmp_path):
        lrp(*RUN, *more)
        lrp("explain", "model.npz", "in", "-o", "out/", "--shard-size", "4K")
        assert parts(s3) == local_parts(tmp_path / "out")
        assert len(parts(s3)) > 4
        about = tmp_path / "out" / "_lrp"
        told = objects(s3, "out/_lrp/")
        assert told["manifest.jsonl"] == (about / "manifest.jsonl").read_bytes()

    def test_are_gone_on_with(self, s3, lrp):
        lrp(*RUN)
        before = parts(s3)
        s3.delete_object(Bucket="lrp", Key="out/small.txt.tsv")
        s3.put_object(Bucket="lrp", Key="in/packed.txt.gz", Body=gzip.compress(b"bad\n"))
        done = lrp(*RUN)
        assert b"2 parts written to s3://lrp/out" in done.stderr
        after = parts(s3)
        assert after["small.txt.tsv"] == before["small.txt.tsv"]
        assert after["packed.txt.gz.tsv"].count(b"\n") == 2

    def test_take_every_nth_shard(self, s3, lrp):
        lrp(*RUN)
        whole = objects(s3, "out/_lrp/manifest.jsonl")
        for each in ("2/2", "1/2"):
            lrp(*RUN[:4], "s3://lrp/halves/", *RUN[5:], "--part", each)
        assert objects(s3, "halves/_lrp/manifest.jsonl") == whole

    def test_have_nothing_of_a_part_that_fails(self, s3, lrp, uploads):
        """A late line is bad, when some of what stands before it was sent."""
        text = LONG + b"\xff\n"
        s3.put_object(Bucket="lrp", Key="in/packed.txt.gz", Body=gzip.compress(text))
        done = lrp(*RUN, "--keep-going", status=3)
        assert b"in/packed.txt.gz: line 60001: byte 1 (0xff) is not UTF-8" in done.stderr
        assert "packed.txt.gz.tsv" not in parts(s3)
        assert uploads() > 1
        assert "Uploads" not in s3.list_multipart_uploads(Bucket="lrp")
        assert "small.txt.tsv" in parts(s3)

    def test_have_predictions_of_a_pattern(self, s3, lrp, tmp_path):
        lrp("predict", "model.npz", "s3://lrp/in/*.txt", *RUN[3:], "--format", "csv")
        lrp("predict", "model.npz", "in/*.txt", "-o", "out/", *RUN[5:], "--format", "csv")
        assert parts(s3) == local_parts(tmp_path / "out", "csv")
        reports = [
            json.loads(objects(s3, "out/_lrp/")["report.json"]),
            json.loads((tmp_path / "out" / "_lrp" / "report.json").read_bytes()),
        ]
        assert [each["sequences"] for each in reports] == [602, 602]

    def test_have_what_a_cluster_makes(self, s3, tmp_path):
        spec_of("distributed")
        there = run_lrp(*RUN, "--cluster", "local", "--jobs", "2", cwd=tmp_path)
        assert there.returncode == 0, there.stderr.decode()
        run_lrp("explain", "model.npz", "in", "-o", "out/", *RUN[5:], cwd=tmp_path)
        assert parts(s3) == local_parts(tmp_path / "out")

    def test_are_summarized(self, s3, lrp, tmp_path):
        lrp(*RUN, "--format", "jsonl")
        lrp("explain", "model.npz", "in", "-o", "out/", "--shard-size", "4K", "--format", "jsonl")
        told = lrp("summarize", "s3://lrp/out/", "--format", "json", "-o", "a.json")
        assert told.stderr == b""
        lrp("summarize", "out", "--format", "json", "-o", "b.json")
        texts = [(tmp_path / name).read_text() for name in ("a.json", "b.json")]
        assert texts[0].replace("s3://lrp/out/", "out") == texts[1]

    @pytest.mark.parametrize("name", ["big.txt", "packed.txt.gz"])
    def test_have_single_inputs_too(self, name, lrp, tmp_path):
        found = lrp("explain", "model.npz", f"s3://lrp/in/{name}", "-q").stdout
        assert found == lrp("explain", "model.npz", f"in/{name}", "-q").stdout

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ("s3://nothing/in/", b"s3://nothing/in/: "),
            ("s3://lrp/nothing.txt", b"s3://lrp/nothing.txt: there is no such input"),
            ("foo://lrp/in/", b"foo://lrp/in/: is no URL that fsspec knows"),
        ],
    )
    def test_that_are_not_there_are_one_error(self, source, told, lrp):
        done = lrp("explain", "model.npz", source, "-o", "out/", status=3)
        assert told in done.stderr
        assert done.stderr.count(b"\n") == 1

    def test_make_no_bucket(self, s3, lrp):
        done = lrp(*RUN[:4], "s3://mistyped/out/", status=3)
        assert b"s3://mistyped/out" in done.stderr
        assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == ["lrp"]


class TestAFailingStore:
    @pytest.mark.parametrize(
        "arguments",
        [
            ("explain", "model.npz", "s3://lrp/in/", "-o", "out/"),
            ("explain", "model.npz", "s3://lrp/in/*.txt", "-o", "out/"),
            ("explain", "model.npz", "s3://lrp/in/small.txt", "-o", "out/"),
            ("explain", "model.npz", "s3://lrp/in/small.txt", "-o", "out.tsv"),
            ("predict", "model.npz", "in", "-o", "s3://lrp/out/"),
            ("summarize", "s3://lrp/out/"),
        ],
    )
    def test_that_does_not_answer_is_one_error(self, arguments, lrp, monkeypatch, tmp_path):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        done = lrp(*arguments, status=3)
        [line] = done.stderr.splitlines()
        assert line.startswith(b"lrp: s3://lrp/")
        assert b": cannot be " in line
        assert b"http://127.0.0.1:9" in line
        assert not list(tmp_path.glob("out*"))

    def test_that_forbids_reading_has_no_other_job_written_over(self, s3, lrp, monkeypatch):
        """What was asked there is not known, so that nothing is written."""
        lrp(*RUN)
        before = objects(s3, "out/")
        get = S3Response._key_response_get

        def failing(self, query, key):
            if key.endswith("job.json"):
                return 403, {}, "<Error><Code>AccessDenied</Code></Error>"
            return get(self, query, key)

        monkeypatch.setattr(S3Response, "_key_response_get", failing)
        done = lrp(*RUN, "--method", "occlusion", status=3)
        assert b"s3://lrp/out: cannot be reached: PermissionError" in done.stderr
        monkeypatch.undo()
        assert objects(s3, "out/") == before

    def test_that_completes_no_upload_has_none(self, s3, lrp, uploads, monkeypatch):
        post = S3Response._key_response_post

        def failing(self, request, body, bucket, query, key):
            if "uploadId" in query:
                return 403, {}, "<Error><Code>AccessDenied</Code></Error>"
            return post(self, request, body, bucket, query, key)

        monkeypatch.setattr(S3Response, "_key_response_post", failing)
        s3.put_object(Bucket="lrp", Key="in/packed.txt.gz", Body=gzip.compress(LONG))
        done = lrp(*RUN, "--keep-going", status=3)
        assert b"s3://lrp/out/packed.txt.gz.tsv" in done.stderr
        assert uploads() > 1
        assert "packed.txt.gz.tsv" not in parts(s3)
        assert "Uploads" not in s3.list_multipart_uploads(Bucket="lrp")

    def test_leaves_nothing_half_written(self, s3, lrp, server, monkeypatch, tmp_path):
        """One write in ten is answered by an error; the same command ends what is left."""
        put = S3Response.put_object
        count = iter(range(10**6))

        def failing(self):
            if next(count) % 10 == 9:
                return 403, {}, "<Error><Code>AccessDenied</Code></Error>"
            return put(self)

        monkeypatch.setattr(S3Response, "put_object", failing)
        ended = []
        while 0 not in ended and len(ended) < 12:
            done = run_lrp(*RUN, cwd=tmp_path, block_steps=BLOCK // 8)
            assert b"Traceback" not in done.stderr
            ended.append(done.returncode)
        assert set(ended) == {0, 3}
        monkeypatch.undo()
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": server}.items():
            monkeypatch.setenv(name, value)
        lrp("explain", "model.npz", "in", "-o", "out/", "--shard-size", "4K")
        assert parts(s3) == local_parts(tmp_path / "out")
