"""Signs requests with botocore, for signature_test.cc to compare with.

Run where botocore is: python3 tests/objects/make_signatures.py
writes tests/objects/signatures.json. Nobody's credentials are in it.
"""

import datetime
import json
import pathlib
from unittest import mock

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.utils

NOW = datetime.datetime(2026, 11, 29, 7, 8, 9)
BODY = "frames\n\x00\x7f"
REQUESTS = [
    # method, host, path, query, headers, body, token
    ("GET", "s3.example:9000", "/bucket/heads/alice", {}, {}, "", ""),
    ("PUT", "127.0.0.1:7070", "/bucket/heads/a", {},
     {"if-none-match": "*"}, BODY, ""),
    ("PUT", "bucket.s3.eu-west-1.amazonaws.com", "/p/heads/a", {},
     {"if-match": '"0123  456"'}, BODY, "a/token+of=some//length"),
    ("GET", "s3.example", "/bucket",
     {"list-type": "2", "prefix": "a b/ü&c=d", "continuation-token": "x+/=~"},
     {}, "", ""),
    ("POST", "s3.example", "/bucket/a key/of%20ü+signs=~!*'()", {"uploads": ""},
     {"content-type": "application/xml"}, "", "token"),
    ("PUT", "s3.example", "/bucket/v/a.b-c_d/0/index",
     {"uploadId": "a.b_c-d", "partNumber": "10"}, {}, BODY * 10, ""),
    ("GET", "s3.example", "/bucket/v/frames", {},
     {"range": "bytes=8388608-16777215"}, "", ""),
    ("DELETE", "s3.example", "/bucket/x", {}, {}, "", ""),
    ("HEAD", "s3.example", "/", {}, {}, "", ""),
]


def signed(method, host, path, query, headers, body, token):
    quote = botocore.utils.percent_encode
    url = f"https://{host}{quote(path, safe='/~')}"
    if query:
        url += "?" + "&".join(
            f"{quote(k, safe='~')}={quote(v, safe='~')}"
            for k, v in sorted(query.items()))
    request = botocore.awsrequest.AWSRequest(
        method=method, url=url, data=body.encode(),
        headers={**headers, "host": host})
    request.context["payload_signing_enabled"] = True
    credentials = botocore.credentials.Credentials(
        "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        token or None)
    signer = botocore.auth.S3SigV4Auth(credentials, "s3", "eu-west-1")
    with mock.patch.object(
        botocore.auth, "get_current_datetime", return_value=NOW
    ):
        signer.add_auth(request)
    return {
        "method": method, "host": host, "path": path, "query": query,
        "headers": headers, "body": body, "token": token, "url": url,
        "authorization": request.headers["Authorization"],
    }


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("signatures.json")
    cases = [signed(*request) for request in REQUESTS]
    path.write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")
