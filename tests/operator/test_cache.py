"""The cache has the newest version of each object, in whatever order versions arrive."""

import pytest
from kubevoice_operator.cluster.cache import Children, ResourceCache
from kubevoice_operator.cluster.keys import Key, key_of

MEI = Key("voices", "mei")


def make_object(kind="Job", name="mei-prepare-1", version=1, uid="u", labels=None, **metadata):
    labels = {"kubevoice.io/voicemodel": "mei"} if labels is None else labels
    meta = {"name": name, "namespace": "voices", "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"kind": kind, "metadata": meta | metadata}


def make_model(version=1, uid="m"):
    return make_object("VoiceModel", "mei", version, uid, {})


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (make_model(), MEI),
        (make_object(), MEI),
        (make_object(labels={}), None),
        (make_object(labels={"app.kubernetes.io/instance": "mei"}), None),
        (make_object(labels={"app.kubernetes.io/instance": "mei", "kubevoice.io/cleanup": "m"}), MEI),
    ],
)
def test_the_key_of_an_object_is_that_of_its_voicemodel(body, key):
    assert key_of(body) == key


def test_an_older_event_does_not_replace_the_response_to_a_write():
    cache = ResourceCache()
    cache.put(make_object(version=7, answer="new"))
    cache.put(make_object(version=5, answer="old"))
    assert cache.children(MEI).jobs["mei-prepare-1"]["metadata"]["answer"] == "new"
    cache.put(make_object(version=9, answer="newer"))
    assert cache.children(MEI).jobs["mei-prepare-1"]["metadata"]["answer"] == "newer"


def test_an_object_with_another_uid_replaces_one_of_the_same_name():
    cache = ResourceCache()
    cache.put(make_model(version=9, uid="one"))
    cache.put(make_model(version=8, uid="two"))
    assert cache.owner(MEI)["metadata"]["uid"] == "two"


def test_managed_fields_are_dropped():
    cache = ResourceCache()
    cache.put(make_object(managedFields=[{"manager": "kubectl"}]))
    assert "managedFields" not in cache.children(MEI).jobs["mei-prepare-1"]["metadata"]


def test_objects_of_different_kinds_may_have_the_same_name():
    cache = ResourceCache()
    for kind in ("Job", "Pod", "RayService", "RayCluster"):
        cache.put(make_object(kind, "same"))
    children = cache.children(MEI)
    assert [len(c) for c in (children.jobs, children.pods, children.services, children.clusters)] == [1] * 4


def test_removing_all_objects_of_a_voicemodel_leaves_nothing():
    cache = ResourceCache()
    cache.put(make_model())
    cache.put(make_object())
    assert cache.remove(make_model()) == MEI
    assert cache.owner(MEI) is None
    assert cache.children(MEI).jobs
    cache.remove(make_object())
    assert not cache._children


def test_cleanups_are_found_without_their_voicemodel():
    cache = ResourceCache()
    cleanup = make_object(name="c", labels={"app.kubernetes.io/instance": "mei", "kubevoice.io/cleanup": "m"})
    cache.put(cleanup)
    cache.put(make_object())
    assert [(key, job["metadata"]["name"]) for key, job in cache.cleanups()] == [(MEI, "c")]


def test_a_deletion_without_an_event_is_found():
    cache = ResourceCache()
    cache.put(make_model(version=3, uid="m"))
    cache.put(make_object(name="gone", version=3, uid="gone"))
    cache.put(make_object(name="present", version=3, uid="present"))
    cache.put(make_object(name="recent", version=9, uid="recent"))
    missed = cache.missed_deletions("Job", {"present"}, version=5)
    assert [body["metadata"]["name"] for body in missed] == ["gone"], "the list is older than the recent Job"
    assert [body["metadata"]["name"] for body in cache.missed_deletions("VoiceModel", (), 5)] == ["mei"]


def test_updates_without_an_event_are_found():
    cache = ResourceCache()
    cache.put(make_object(name="old", version=3, uid="old"))
    cache.put(make_object(name="new", version=9, uid="new"))
    cache.put(make_object("Pod", "pod", version=9, uid="other"))
    assert cache.missed_updates("Job", {"old": 4, "new": 9, "other": 9, "never": 0}) == {
        "old": 4,
        "other": 9,
        "never": 0,
    }
    assert cache.missed_updates("VoiceModel", {"m": 1}) == {"m": 1}


def test_an_unknown_voicemodel_has_no_children():
    assert ResourceCache().children(MEI) == Children()
