"""The sandbox's Google, as cloud-sql-proxy is told of it."""

import json
import os
import tomllib
import urllib.parse
import urllib.request

with open(os.environ["BSQL_CONFIG"], "rb") as file:
    ENDPOINTS = tomllib.load(file)["profiles"]["sandbox"]["google"]["endpoints"]


def token(scope):
    """An access token of the sandbox's Google, as gcloud would have it."""
    form = {
        "grant_type": "refresh_token",
        "client_id": "proxy",
        "client_secret": "proxy",
        "refresh_token": "sbx-secret-google-refresh-ada",
        "scope": f"https://www.googleapis.com/auth/{scope}",
    }
    url = ENDPOINTS["sts"].rstrip("/") + "/token"
    with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode()) as answer:
        return json.load(answer)["access_token"]
