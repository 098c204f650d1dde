#!/usr/bin/env python3
"""A Hugging Face Hub on 127.0.0.1 for tests: it serves folders as repositories, and misbehaves as told.

    python3 fake_hub.py --repo distilgpt2=runner/demo --state DIR [--rename old=new] [--files /e2e=DIR]

Standard library only. In the folder DIR it keeps
    port          the port it listens on (written when it is ready)
    requests      one JSON line for each request: method, path, host, authorization, range
    rules.json    read again at each request: a list of rules, the first that matches and is not used up counts

A rule: {"path": REGEX, "method": "GET", "times": N, "do": WHAT, ...}, where WHAT is
    status    answer with "status" and "headers", without a body
    auth      401 unless the token is "token"
    break     close the connection after "bytes" bytes of the body
    stall     send "bytes" bytes of the body, then nothing for "seconds"
    slow      "rate" bytes a second
    corrupt   flip the last byte of the body
    short     a body of "bytes" bytes, announced as such
    long      "bytes" bytes more than announced at HEAD
    header    the true answer, with "headers" set (null: left out)
    norange   ignore Range: 200 and the whole file
    badrange  206 with a Content-Range that begins elsewhere
    redirect  302 to "location" ({port} is filled in)
    flood     headers without end
    page      "status" with a body without end

As on the real Hub, large files (*.safetensors, or 1 MB and more) answer a HEAD with 302 to another host name
(http://localhost:PORT/cdn/SHA256), X-Linked-Etag and X-Linked-Size; small ones with 200 and a git SHA-1 as ETag.
"""
import argparse
import hashlib
import json
import os
import re
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repo:
    def __init__(self, name, folder):
        self.name, self.files = name, {}
        for base, _, names in os.walk(folder):
            for file in names:
                path = os.path.join(base, file)
                with open(path, "rb") as f:
                    self.files[os.path.relpath(path, folder)] = f.read()
        self.commit = hashlib.sha1(repr(sorted((n, git_sha1(d)) for n, d in self.files.items())).encode()).hexdigest()

    def is_large(self, file):
        return file.endswith(".safetensors") or len(self.files[file]) >= 1 << 20


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fake-hub"

    def log_message(self, *args):
        pass

    def log_line(self):
        line = {"method": self.command, "path": self.path, "host": self.headers.get("Host"),
                "authorization": self.headers.get("authorization"), "range": self.headers.get("Range"),
                "encoding": self.headers.get("Accept-Encoding")}
        with self.server.lock, open(os.path.join(self.server.state, "requests"), "a") as f:
            f.write(json.dumps(line) + "\n")

    def rule(self):
        try:
            with open(os.path.join(self.server.state, "rules.json")) as f:
                rules = json.load(f)
        except FileNotFoundError:
            return {}
        for rule in rules:
            if rule.get("method", self.command) != self.command or not re.search(rule.get("path", ""), self.path):
                continue
            key = json.dumps(rule, sort_keys=True)
            with self.server.lock:
                used = self.server.used.get(key, 0)
                if used >= rule.get("times", 1 << 30):
                    continue
                self.server.used[key] = used + 1
            return rule
        return {}

    # ---- answers

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self):
        """A reset, not a clean end."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def endless(self, do, rule):
        self.send_response(rule.get("status", 200))
        if do == "page":
            self.end_headers()
        self.flush_headers()
        try:
            for i in range(80 << 10):  # 84 MB, more than anybody should read
                self.wfile.write(b"X-Flood-%d: %s\r\n" % (i, b"x" * 1000))
        except OSError:
            pass
        self.close_connection = True

    def send_body(self, data, rule, headers):
        do, status = rule.get("do"), 200
        if do == "corrupt" and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        elif do == "short":
            data = data[: rule["bytes"]]
        elif do == "long":
            data = data + b"x" * rule["bytes"]
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if wanted and do != "norange":
            start = int(wanted.group(1))
            if start >= len(data):
                return self.answer(416, {"Content-Range": "bytes */%d" % len(data)})
            said = start + 1 if do == "badrange" else start
            headers = {**headers, "Content-Range": "bytes %d-%d/%d" % (said, len(data) - 1, len(data))}
            status, data = 206, data[start:]
        if do not in ("break", "stall", "slow"):
            return self.answer(status, headers, data)
        self.answer(status, {**headers, "Content-Length": str(len(data))}, b"")
        if self.command == "HEAD":
            return None
        if do == "slow":
            step = max(1, rule["rate"] // 20)
            for i in range(0, len(data), step):
                self.wfile.write(data[i : i + step])
                self.wfile.flush()
                time.sleep(step / rule["rate"])
            return None
        self.wfile.write(data[: rule["bytes"]])
        self.wfile.flush()
        if do == "stall":
            time.sleep(rule["seconds"])
        else:
            time.sleep(0.05)  # let the bytes arrive before the reset
        return self.hang_up()

    def error(self, status, code, commit=None):
        self.answer(status, {"X-Error-Code": code, "X-Error-Message": code, "X-Repo-Commit": commit})

    def resolve(self, repo, revision, file, rule):
        if revision not in ("main", repo.commit, repo.commit[:7], "refs/pr/1"):
            return self.error(404, "RevisionNotFound")
        if file not in repo.files:
            return self.error(404, "EntryNotFound", repo.commit)
        data = repo.files[file]
        sha256, changed = hashlib.sha256(data).hexdigest(), rule.get("headers", {}) if rule.get("do") == "header" else {}
        if repo.is_large(file):
            return self.answer(302, {"X-Repo-Commit": repo.commit, "X-Linked-Etag": '"%s"' % sha256,
                                     "X-Linked-Size": str(len(data)), "ETag": '"of-the-pointer"',
                                     "Location": "http://localhost:%d/cdn/%s?sig=1" % (self.server.server_port, sha256),
                                     **changed})
        headers = {"X-Repo-Commit": repo.commit, "ETag": '"%s"' % git_sha1(data), "Accept-Ranges": "bytes", **changed}
        if self.command == "HEAD":
            return self.answer(200, {"Content-Length": str(len(data)), **headers})
        return self.send_body(data, rule, headers)

    def api(self, repo, revision):
        if revision not in ("main", repo.commit):
            return self.error(404, "RevisionNotFound")
        body = {"id": repo.name, "sha": repo.commit, "siblings": [{"rfilename": n} for n in sorted(repo.files)]}
        return self.answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.log_line()
        rule = self.rule()
        do = rule.get("do")
        if do == "status" or (do == "auth" and self.headers.get("authorization") != "Bearer " + rule["token"]):
            return self.answer(rule.get("status", 401), rule.get("headers", {}))
        if do in ("flood", "page"):
            return self.endless(do, rule)
        if do == "redirect":
            return self.answer(302, {"Location": rule["location"].format(port=self.server.server_port)})
        path = unquote(urlsplit(self.path).path)
        for prefix, folder in self.server.files.items():
            if path.startswith(prefix + "/"):
                try:
                    with open(os.path.join(folder, path[len(prefix) + 1 :]), "rb") as f:
                        return self.send_body(f.read(), rule, {})
                except FileNotFoundError:
                    return self.answer(404, {})
        if path.startswith("/cdn/"):
            for repo in self.server.repos.values():
                for data in repo.files.values():
                    if hashlib.sha256(data).hexdigest() == path[5:]:
                        return self.send_body(data, rule, {"ETag": '"cdn"'})
            return self.answer(403, {})
        api = re.fullmatch(r"/api/(?:models|datasets)/(.+?)(?:/revision/(.+))?", path)
        if api and api.group(1) in self.server.repos:
            return self.api(self.server.repos[api.group(1)], api.group(2) or "main")
        # The revision's slashes arrive as %2F: cut before unquoting.
        wanted = re.fullmatch(r"/(?:datasets/)?(.+?)/resolve/([^/]+)/(.+)", urlsplit(self.path).path)
        if wanted:
            name, revision, file = (unquote(part) for part in wanted.groups())
            if name in self.server.renamed:
                new = self.path.replace("/" + name + "/", "/" + self.server.renamed[name] + "/", 1)
                return self.answer(307, {"Location": new})
            if name in self.server.repos:
                return self.resolve(self.server.repos[name], revision, file, rule)
        return self.error(401, "RepoNotFound")


def pairs(items):
    return dict(item.split("=", 1) for item in items)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repo", action="append", default=[], help="name=folder")
    parser.add_argument("--rename", action="append", default=[], help="old=new")
    parser.add_argument("--files", action="append", default=[], help="/prefix=folder, plain files")
    parser.add_argument("--state", required=True)
    parser.add_argument("--seconds", type=float, default=900, help="ends by itself after so long")
    args = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.lock, server.used, server.state = threading.Lock(), {}, args.state
    server.repos = {name: Repo(name, folder) for name, folder in pairs(args.repo).items()}
    server.renamed, server.files = pairs(args.rename), pairs(args.files)
    threading.Timer(args.seconds, os._exit, [0]).start()
    with open(os.path.join(args.state, "port.tmp"), "w") as f:
        f.write(str(server.server_port))
    os.rename(os.path.join(args.state, "port.tmp"), os.path.join(args.state, "port"))
    server.serve_forever()


if __name__ == "__main__":
    main()
