"""The cache keeps the newest version of everything, whoever brings it first."""

import pytest
from kubevoice_operator.cluster.cache import Children, Key, ResourceCache, key_of

MEI = Key("voices", "mei")


def thing(kind="Job", name="mei-prepare-1", version=1, uid="u", labels=None, **more):
    marks = {"kubevoice.io/voicemodel": "mei"} if labels is None else labels
    meta = {"name": name, "namespace": "voices", "uid": uid, "resourceVersion": str(version), "labels": marks}
    return {"kind": kind, "metadata": meta | more}


def model(version=1, uid="m"):
    return thing("VoiceModel", "mei", version, uid, {})


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (model(), MEI),
        (thing(), MEI),
        (thing(labels={}), None),
        (thing(labels={"app.kubernetes.io/instance": "mei"}), None),
        (thing(labels={"app.kubernetes.io/instance": "mei", "kubevoice.io/cleanup": "m"}), MEI),
    ],
)
def test_whom_an_object_belongs_to(body, key):
    assert key_of(body) == key


def test_an_answer_to_a_write_is_not_undone_by_an_older_event():
    cache = ResourceCache()
    cache.put(thing(version=7, answer="new"))
    cache.put(thing(version=5, answer="old"))
    assert cache.children(MEI).jobs["mei-prepare-1"]["metadata"]["answer"] == "new"
    cache.put(thing(version=9, answer="newer"))
    assert cache.children(MEI).jobs["mei-prepare-1"]["metadata"]["answer"] == "newer"


def test_another_object_of_the_same_name_replaces_the_one_before():
    cache = ResourceCache()
    cache.put(model(version=9, uid="one"))
    cache.put(model(version=8, uid="two"))
    assert cache.model(MEI)["metadata"]["uid"] == "two"


def test_who_wrote_what_is_not_kept():
    cache = ResourceCache()
    cache.put(thing(managedFields=[{"manager": "kubectl"}]))
    assert "managedFields" not in cache.children(MEI).jobs["mei-prepare-1"]["metadata"]


def test_kinds_are_kept_apart():
    cache = ResourceCache()
    for kind in ("Job", "Pod", "RayService", "RayCluster"):
        cache.put(thing(kind, "same"))
    children = cache.children(MEI)
    assert [len(c) for c in (children.jobs, children.pods, children.services, children.clusters)] == [1] * 4


def test_nothing_is_left_of_a_voicemodel_that_is_gone():
    cache = ResourceCache()
    cache.put(model())
    cache.put(thing())
    assert cache.remove(model()) == MEI
    assert cache.model(MEI) is None
    assert cache.children(MEI).jobs
    cache.remove(thing())
    assert not cache._children


def test_cleanups_are_found_without_their_voicemodel():
    cache = ResourceCache()
    cleanup = thing(name="c", labels={"app.kubernetes.io/instance": "mei", "kubevoice.io/cleanup": "m"})
    cache.put(cleanup)
    cache.put(thing())
    assert [(key, job["metadata"]["name"]) for key, job in cache.cleanups()] == [(MEI, "c")]


def test_a_deletion_that_no_watch_told_of_is_found():
    cache = ResourceCache()
    cache.put(model(version=3, uid="m"))
    cache.put(thing(name="gone", version=3, uid="gone"))
    cache.put(thing(name="there", version=3, uid="there"))
    cache.put(thing(name="young", version=9, uid="young"))
    missed = cache.missed_deletions("Job", {"there"}, version=5)
    assert [body["metadata"]["name"] for body in missed] == ["gone"], "the list is older than the young one"
    assert [body["metadata"]["name"] for body in cache.missed_deletions("VoiceModel", (), 5)] == ["mei"]


def test_what_no_watch_has_shown_is_found():
    cache = ResourceCache()
    cache.put(thing(name="old", version=3, uid="old"))
    cache.put(thing(name="new", version=9, uid="new"))
    cache.put(thing("Pod", "pod", version=9, uid="other"))
    assert cache.missed_updates("Job", {"old": 4, "new": 9, "other": 9, "never": 0}) == {
        "old": 4,
        "other": 9,
        "never": 0,
    }
    assert cache.missed_updates("VoiceModel", {"m": 1}) == {"m": 1}


def test_children_of_nobody_are_empty():
    assert ResourceCache().children(MEI) == Children()
