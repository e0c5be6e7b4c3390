# SPDX-License-Identifier: Apache-2.0
"""Reads a SARIF log from stdin and says what OASIS SARIF 2.1.0 asks for and it has not.

The rules of the standard that concern what sluice writes, by section; the published schema
says the same of names and types. Nothing printed, exit 0: all hold. Unknown properties are
told too, since the schema allows none.
"""
import json
import re
import sys

# RFC 3986: a URI reference, and what a segment may hold.
URI = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?#\[\]-]|%[0-9A-Fa-f]{2})*$")
LEVELS = {"none", "note", "warning", "error"}
wrong = []


def must(holds, words):
    if not holds:
        wrong.append(words)


def shape(what, value, kinds, required=()):
    """VALUE is an object with KINDS of properties, the REQUIRED ones among them."""
    must(isinstance(value, dict), f"{what} is not an object")
    if not isinstance(value, dict):
        return {}
    for name in required:
        must(name in value, f"{what} has no '{name}'")
    for name, one in value.items():
        must(name in kinds, f"{what} has an unknown '{name}'")
        kind = kinds.get(name, object)
        fits = isinstance(one, kind) and not (kind is int and isinstance(one, bool))
        must(fits, f"'{name}' of {what} is {type(one).__name__}")
    return value


def message(what, value):
    """3.11, 3.12: text, or the id of one."""
    m = shape(what, value, {"text": str, "markdown": str, "id": str, "arguments": list})
    must("text" in m or "id" in m, f"{what} has neither text nor id")
    must(m.get("text") != "", f"{what} is empty")


def region(what, value):
    """3.30: lines and columns from 1, the end behind the start."""
    r = shape(what, value, {"startLine": int, "startColumn": int, "endLine": int, "endColumn": int})
    must(r.get("startLine", 1) >= 1, f"{what}: startLine")
    must(r.get("startColumn", 1) >= 1, f"{what}: startColumn")
    if r.get("endLine", r.get("startLine")) == r.get("startLine"):
        must(r.get("endColumn", 1 << 30) >= r.get("startColumn", 1), f"{what}: ends before it starts")


def location(what, value):
    """3.28, 3.29, 3.4.4: the file is a URI reference."""
    outer = shape(what, value, {"physicalLocation": dict, "message": dict}, ["physicalLocation"])
    inner = shape(what, outer.get("physicalLocation", {}), {"artifactLocation": dict, "region": dict},
                  ["artifactLocation"])
    artifact = shape(what, inner.get("artifactLocation", {}), {"uri": str, "uriBaseId": str}, ["uri"])
    uri = artifact.get("uri", "")
    must(URI.match(uri) and uri, f"{what}: '{uri}' is no URI reference")
    if "region" in inner:
        region(what, inner["region"])


def rule(what, value):
    """3.49: an id of its own, words, a level that exists."""
    r = shape(what, value, {"id": str, "name": str, "shortDescription": dict, "fullDescription": dict,
                            "help": dict, "helpUri": str, "defaultConfiguration": dict}, ["id"])
    for words in ("shortDescription", "fullDescription", "help"):
        if words in r:
            shape(what, r[words], {"text": str, "markdown": str}, ["text"])
    if "defaultConfiguration" in r:
        c = shape(what, r["defaultConfiguration"], {"level": str, "enabled": bool})
        must(c.get("level", "warning") in LEVELS, f"{what}: level '{c.get('level')}'")
    must(URI.match(r.get("helpUri", "a")), f"{what}: helpUri")
    return r.get("id")


def one_run(run):
    """3.14: a tool, and results that name its rules."""
    run = shape("run", run, {"tool": dict, "columnKind": str, "results": list}, ["tool"])
    must(run.get("columnKind", "utf16CodeUnits") in ("utf16CodeUnits", "unicodeCodePoints"), "columnKind")
    tool = shape("tool", run.get("tool", {}), {"driver": dict, "extensions": list}, ["driver"])
    driver = shape("driver", tool.get("driver", {}),
                   {"name": str, "version": str, "informationUri": str, "rules": list}, ["name"])
    ids = [rule(f"rule {i}", r) for i, r in enumerate(driver.get("rules", []))]
    must(len(ids) == len(set(ids)), "two rules of one id")
    for i, result in enumerate(run.get("results", [])):
        what = f"result {i}"
        r = shape(what, result, {"ruleId": str, "ruleIndex": int, "level": str, "kind": str,
                                 "message": dict, "locations": list}, ["message"])
        must(r.get("ruleId") in ids, f"{what}: rule '{r.get('ruleId')}' is not among the tool's")
        must(r.get("level", "warning") in LEVELS, f"{what}: level '{r.get('level')}'")
        message(what, r.get("message"))
        for one in r.get("locations", []):
            location(what, one)
    return len(run.get("results", []))


log = shape("log", json.load(sys.stdin), {"$schema": str, "version": str, "runs": list}, ["version", "runs"])
must(log.get("version") == "2.1.0", "version")  # 3.13.2
count = sum(one_run(run) for run in log.get("runs", []))
print("\n".join(wrong) if wrong else f"{count} results, all as the standard has them")
sys.exit(1 if wrong else 0)
