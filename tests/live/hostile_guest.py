# SPDX-License-Identifier: Apache-2.0
"""A guest of which whatever its owner may write is meant to break a page: name, title, Nova's metadata and others."""
import guests
from xml.sax.saxutils import escape, quoteattr

OWN = "http://example.org/own"
NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"
NAMESPACE, VMI = 'ns"} evil 1 # {\\n\\', "vmi\u202e <b>\u20ac\x7f\u2028\"="
INJECTION = 'x"} 1\nevil_total{a="b"} 1\r\n# TYPE evil counter\n# EOF\n\\'
CONTROLS = "a\tb\x7fc\x85d\x9b31me\u2028f\u2029g\ufeffh\ud7ff\U0010ffff"
LABEL_BYTES = 256

# What is written -> the label it has to become, ~ at its end for where it is cut; None: there is to be none.
TITLE = ("\u20ac" * 85 + "x", "\u20ac" * 85 + "x")  # To the last byte.
OF_NOVA = {
    "openstack_instance": (INJECTION, 'x"} 1evil_total{a="b"} 1# TYPE evil counter# EOF\\'),
    "openstack_flavor": ('m1" \\" \\\\n &amp; <', 'm1" \\" \\\\n &amp; <'),
    "openstack_project": (CONTROLS, "abcd31mefg\ufeffh\ud7ff\U0010ffff"),
    "openstack_project_id": ("\u20ac" * 86, "\u20ac" * 82 + "~"),
    "openstack_user": ("y" * 1024, "y" * 247 + "~"),
    "openstack_user_id": ("z" * 1025, None),
}
OF_OWN = {
    "quotes": ('"""\'`\\', '"""\'`\\'),
    "edge": ("q" * 254 + "\u20ac", "q" * 247 + "~"),
    "long": ("w" * 100_000, None),
    "space": (" \n", " "),
    "controls": ("\n\t\x7f", None),  # Nothing is left of it.
    "json": ('{"a": [1, "\\u0000"]}', '{"a": [1, "\\u0000"]}'),
}
FLAGS = [f"--collector.metadata.label=own_{key}={{{OWN}}}tags/{key}@value" for key in OF_OWN]


def expected():
    """{label: what it has to be, or how it has to begin where it ends in ~}"""
    labels = {"title": TITLE, **OF_NOVA, **{f"own_{key}": value for key, value in OF_OWN.items()}}
    told = {label: value for label, (_, value) in labels.items() if value is not None}
    return {**told, "kubevirt_namespace": NAMESPACE, "kubevirt_vmi": 'vmi\u202e <b>\u20ac"='}


def differences(labels):
    """What of these labels of vcpu_domain_metadata_info is not as it has to be."""
    wanted = expected()
    wrong = {label: value for label, value in labels.items() if label != "domain" and
             not (value.startswith(wanted.get(label, "none at all")) and len(value.encode()) <= LABEL_BYTES)}
    cut_alone = {label: labels[label] for label, value in wanted.items()
                 if label in labels and not value.endswith("~") and labels[label] != value}
    return {**wrong, **cut_alone, **{label: None for label in wanted.keys() - labels.keys()}}


def in_attribute(text):
    return quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


class HostileGuest(guests.BareGuest):
    def __init__(self, directory):
        super().__init__(f"{NAMESPACE}_{VMI}", directory)

    def xml(self, cpus):
        head, _, rest = super().xml(cpus).partition("<title>")
        _, _, rest = rest.partition("</metadata>")
        return head + self.described() + rest.replace("<boot dev='hd'/></os>", "<boot dev='hd'/><smbios mode='sysinfo'/></os>")

    @staticmethod
    def described():
        nova = {label: escape(text, {"\r": "&#13;"}) for label, (text, _) in OF_NOVA.items()}
        project_id, user_id, flavor = (in_attribute(OF_NOVA[f"openstack_{key}"][0])
                                       for key in ("project_id", "user_id", "flavor"))
        tags = "".join(f"<o:{key} value={in_attribute(text)}/>" for key, (text, _) in OF_OWN.items())
        many = "".join(f"<o:m{number} a='1'/>" for number in range(500))
        return f"""<title>{escape(TITLE[0])}</title>
  <metadata>
    <n:instance xmlns:n='{NOVA}'>
      <n:name>{nova["openstack_instance"]}</n:name><n:flavor name={flavor}/>
      <n:owner><n:user uuid={user_id}>{nova["openstack_user"]}</n:user>
        <n:project uuid={project_id}>{nova["openstack_project"]}</n:project></n:owner>
    </n:instance>
    <o:tags xmlns:o='{OWN}'>{tags}{many}</o:tags>
    <o:deep xmlns:o='{OWN}/deep'>{"<o:d>" * 200}x{"</o:d>" * 200}</o:deep>
  </metadata>
  <sysinfo type='smbios'><system><entry name='manufacturer'>KubeVirt</entry></system></sysinfo>"""
