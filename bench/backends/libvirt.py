"""Virtual machines by libvirt: a ROM alone, a kernel started directly, a disk with its own boot loader, saved memory.

The events of a virtual machine: REQUESTED, then its overlay is made and its domain defined: CREATED; then the
domain is started and libvirt says that it runs: STARTED (the guest runs from a millisecond before). As soon as it
runs its definition is removed again, so that a machine that ends leaves nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from bench.backends import kvm_proof, vm_needs
from bench.backends.base import Availability, Session
from bench.backends.bridge import Bridge
from bench.backends.common import Nest
from bench.backends.domain import EMULATOR, to_xml
from bench.backends.hypervisor import Hypervisor, daemon_address
from bench.backends.kvm_proof import Attempt, Proof
from bench.backends.saved_image import Saved, copy_renamed, saved_name
from bench.backends.vm_instance import VmInstance, find_daemons
from bench.backends.vm_parts import Parts, boot_of, describe, gather
from bench.clock import Event
from bench.errors import BackendUnavailable, BuildError, InstanceError, StartTimeout
from bench.rootfs.agent import agent_binary
from bench.rootfs.disk import make_copy, make_overlay
from bench.rootfs.download import disk_download
from bench.rootfs.initramfs import initramfs
from bench.rootfs.kernel import fetch_kernel
from bench.rootfs.rom import assemble, make_rom
from bench.scenario import Subject

TAP = Path("/dev/net/tun")
"""Where a hypervisor gets network devices (Documentation/networking/tuntap.rst); containers often have none."""

_SETTLE_S = 0.5
"""A guest that is saved shall be idle: what follows READY at once is over by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    parts: Parts
    accelerator: str
    cpu: str
    hypervisor: Hypervisor
    saved: Saved | None = None


class LibvirtBackend:
    """Starts virtual machines through libvirt, by whichever of its drivers answers."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._hypervisors: dict[str, Hypervisor] = {}
        self._prepared: dict[str, _Prepared] = {}
        self._bridge: Bridge | None = None

    def check(self, subject: Subject) -> Availability:
        """Look for QEMU, libvirt-python and the programs that build disks; say which driver will be used."""
        missing = vm_needs.missing(subject)
        if missing is not None:
            return missing
        uri = subject.option("uri")
        if "+" in uri.partition(":")[0] or "//" in uri.replace("///", ""):
            return Availability(
                usable=False,
                reason=f"{uri} is another host: marks travel by a socket of this one",
                hint="run bench there",
            )
        if subject.option("accelerator", "auto") == "kvm" and (refusal := kvm_proof.device_refusal()):
            return Availability(usable=False, reason=refusal, hint='accelerator = "auto" falls back to emulation')
        return Availability(usable=True, detail=uri or daemon_address() or "libvirt's driver inside this process")

    def open(self, session: Session) -> None:
        """Take the session and tell the guardian how QEMU processes of this run are known."""
        self._session = session
        session.guard.watch("qemu", f"bench-{session.run_id[-6:]}-")

    def _opened(self) -> Session:
        if self._session is None:
            raise InstanceError("the libvirt backend is not open")
        return self._session

    def _hypervisor(self, uri: str) -> Hypervisor:
        if uri not in self._hypervisors:
            self._hypervisors[uri] = Hypervisor(self._opened(), uri)
        return self._hypervisors[uri]

    def prepare(self, subject: Subject) -> None:
        """Build its parts, find out whether KVM runs it, and save a guest's memory where that is the subject."""
        for app in subject.apps():
            self._prepare(app)

    def _prepare(self, subject: Subject) -> None:
        if subject.key in self._prepared:
            return
        session = self._opened()
        hypervisor = self._hypervisor(subject.option("uri"))
        boot = boot_of(subject)
        accelerator, cpu = self._decide(subject, "rom" if boot == "rom" else "kernel", hypervisor)
        parts = gather(subject, session, accelerator)
        if parts.network == "bridge":
            parts = self._bridged(parts)
        if parts.disk:
            disk_download(parts.disk, copied=parts.copied)  # remembered beside the disk: no instance waits for it
        prepared = _Prepared(parts=parts, accelerator=accelerator, cpu=cpu, hypervisor=hypervisor)
        if boot == "restore":
            session.say(f"saving a guest for {subject.name}")
            prepared = replace(prepared, saved=self._save(prepared, subject.deadline_s))
        self._prepared[subject.key] = prepared

    def _bridged(self, parts: Parts) -> Parts:
        """Return the parts on the suite's bridge; without a network device where there can be none."""
        if not os.access(TAP, os.R_OK | os.W_OK):
            return replace(parts, network="none", no_bridge=f"{TAP} cannot be opened, and a machine's end needs it")
        if self._bridge is None:
            bridge = Bridge(self._opened(), "v")
            try:
                bridge.make()
            except BackendUnavailable as error:
                bridge.remove()
                return replace(parts, network="none", no_bridge=error.message)
            self._bridge = bridge
        return replace(parts, bridge=self._bridge.name)

    def _decide(self, subject: Subject, guest: str, hypervisor: Hypervisor) -> tuple[str, str]:
        """Return the accelerator and the processor model."""
        session = self._opened()
        wanted = subject.option("accelerator", "auto")
        if wanted == "auto":
            wanted = session.accelerators.get(guest, "auto")
        if wanted == "tcg":
            return "tcg", "maximum"
        proof = self._prove(guest, hypervisor)
        if wanted == "kvm" and not proof.works:
            raise InstanceError(f"KVM does not run this guest here: {proof.reason}", 'accelerator = "auto" falls back')
        session.accelerators.setdefault(guest, "kvm" if proof.works else "tcg")
        return ("kvm", proof.cpu) if proof.works else ("tcg", "maximum")

    def prove(self, guest: str) -> Proof:
        """Return whether KVM boots this guest ("rom" or "kernel") here: remembered, or tried now within seconds."""
        return self._prove(guest, self._hypervisor(""))

    def _prove(self, guest: str, hypervisor: Hypervisor) -> Proof:
        session = self._opened()
        qemu = hypervisor.versions()["qemu"]
        if guest == "rom":
            parts = Parts(boot="rom", machine="pc", memory_mib=16, vcpus=1, network="none", flavour="stock")
            digest = assemble(0).hex()
        else:
            kernel = fetch_kernel(session.cache, session.say)
            # The same kernel, with nothing but the agent: INIT is the proof, then its "app" ends and with it the guest.
            line = "console=ttyS0,115200 panic=-1 rdinit=/bench/agent -- --guest --channel tty:/dev/ttyS1"
            parts = Parts(
                boot="direct", machine="pc", memory_mib=256, vcpus=1, network="none", flavour="stock", kernel=kernel,
                form="bzImage", initrd=initramfs(session.cache, kernel, agent_binary(session.cache), "pci"),
                line=f"{line} --nonce {{nonce}} --exec /bench/agent",
            )  # fmt: skip
            digest = kernel.digest

        def attempt(cpu: str) -> Attempt:
            session.say(f"trying KVM with a {guest}, processor {cpu}")
            return self._attempt(_Prepared(parts=parts, accelerator="kvm", cpu=cpu, hypervisor=hypervisor))

        return kvm_proof.prove(guest, kvm_proof.proof_path(session.cache, guest, qemu, digest), attempt)

    def _attempt(self, prepared: _Prepared) -> Attempt:
        instance = None
        try:
            instance = self._launch(prepared)
            if instance.timeline.wait(Event.INIT, kvm_proof.DEADLINE_S):
                took = instance.timeline.seconds(Event.REQUESTED, Event.INIT)
                return Attempt(cpu=prepared.cpu, worked=True, seen=f"its first mark after {took:.2f} s")
            said = instance.last_words() or "not a byte on its console"
            return Attempt(cpu=prepared.cpu, worked=False, seen=f"no mark within {kvm_proof.DEADLINE_S:g} s: {said}")
        except InstanceError as error:
            return Attempt(cpu=prepared.cpu, worked=False, seen=error.message)
        finally:
            if instance is not None:
                instance.remove()

    def launch(self, subject: Subject) -> VmInstance:
        """Start one."""
        prepared = self._prepared[subject.key]
        return self._restore(prepared, prepared.saved) if prepared.saved else self._launch(prepared)

    def _launch(self, prepared: _Prepared, name: str = "", identity: str = "") -> VmInstance:
        """Boot one, under another name and UUID than its own if they are given."""
        session, parts, hypervisor = self._opened(), prepared.parts, prepared.hypervisor
        nest = Nest(session)
        instance = VmInstance(nest, parts, hypervisor, session.scratch)
        instance.domain_name = name or nest.name
        if parts.bridge and self._bridge:
            instance.interface = self._bridge.next_address()
        with _removing(instance):
            if parts.boot == "rom":
                (nest.directory / "rom").write_bytes(make_rom(nest.nonce))
            xml = _xml(prepared, instance, identity)
            nest.timeline.stamp(Event.REQUESTED)
            if parts.disk and instance.overlay:
                make = make_copy if parts.copied else make_overlay
                make(parts.disk.path, instance.overlay)
            domain = hypervisor.define(xml)
            nest.timeline.stamp(Event.CREATED)
            instance.belongs_to(domain)
            hypervisor.start(domain)
            nest.timeline.stamp(Event.STARTED)
            hypervisor.forget(domain)
        return instance

    def _save(self, prepared: _Prepared, deadline_s: float) -> Saved:
        """Boot a guest until it is ready, and keep its memory and its disk."""
        session = self._opened()
        identity = str(uuid.uuid4())
        name = saved_name(session, 0)
        instance = self._launch(prepared, name, identity)
        memory, disk = session.scratch / f"{name}.memory", session.scratch / f"{name}.qcow2"
        try:
            if not instance.timeline.wait(Event.READY, deadline_s):
                raise StartTimeout(f"the guest to be saved was not ready in {deadline_s:g} s; {instance.last_words()}")
            time.sleep(_SETTLE_S)
            instance.save(memory, disk)
        finally:
            instance.remove()
        return Saved(memory=memory, name=name, uuid=identity, disk=disk)

    def _restore(self, prepared: _Prepared, saved: Saved) -> VmInstance:
        """Let the saved guest run on as a new domain. Its agent is asked to answer by the new instance's nonce.

        The copy of the memory under a new name stands for the image that a host has lying ready: it is made before
        the clock starts. The guest is asked after the call returned, for what is written to a serial port before
        its state is loaded is lost.
        """
        session, hypervisor = self._opened(), prepared.hypervisor
        nest = Nest(session)
        instance = VmInstance(nest, prepared.parts, hypervisor, session.scratch)
        instance.domain_name = saved_name(session, int(nest.name.rpartition("-")[2]))
        memory = session.scratch / f"{instance.domain_name}.memory"
        instance.files.append(memory)
        identity = str(uuid.uuid4())
        with _removing(instance):
            copy_renamed(saved.memory, memory, {saved.name: instance.domain_name, saved.uuid: identity})
            xml = _xml(prepared, instance, identity)
            nest.timeline.stamp(Event.REQUESTED)
            if instance.overlay:
                make_overlay(saved.disk, instance.overlay)
            instance.belongs_to(hypervisor.restore(memory, instance.domain_name, xml))
            nest.timeline.stamp(Event.STARTED)
            nest.channel.send(f"PING {nest.nonce}")
        return instance

    def accelerator(self, subject: Subject) -> str:
        """Return "kvm" or "tcg", as prepare found out."""
        prepared = self._prepared.get(subject.key)
        return prepared.accelerator if prepared else ""

    def files(self, subject: Subject) -> tuple[Path, ...]:
        """Return QEMU, the base disk, kernel and first file system."""
        prepared = self._prepared.get(subject.key)
        if prepared is None:
            return ()
        base = (prepared.parts.disk.path,) if prepared.parts.disk else ()
        saved = (prepared.saved.disk, prepared.saved.memory) if prepared.saved else ()
        return (Path(EMULATOR), *base, *prepared.parts.shared, *saved)

    def pool(self, subject: Subject) -> Path | None:
        """Return where overlays and saved memory are written."""
        prepared = self._prepared.get(subject.key)
        return self._opened().scratch if prepared and prepared.parts.disk else None

    def control_plane(self) -> tuple[int, ...]:
        """Return libvirt's daemons; none when the driver is embedded."""
        return find_daemons() if self._hypervisors and not self.embedded() else ()

    def embedded(self) -> bool:
        """Say whether libvirt's driver runs inside this process: no connection goes to a daemon."""
        inside = [hypervisor.embedded is not None for hypervisor in self._hypervisors.values()]
        return bool(inside) and all(inside)

    def kept(self) -> tuple[str, ...]:
        """Return the domains of this run that libvirt still knows, and the QEMUs that run as one of them."""
        prefix = f"bench-{self._opened().run_id[-6:]}-"
        domains = [name for hypervisor in self._hypervisors.values() for name in hypervisor.domains()]
        started = [(p.pid, word) for p in psutil.process_iter(["cmdline"]) for word in p.info["cmdline"] or ()]
        return (
            *(f"domain {name}" for name in domains if name.startswith(prefix)),
            *(f"process {pid}" for pid, word in started if word.startswith(f"guest={prefix}")),
        )

    def facts(self) -> Mapping[str, str]:
        """Return libvirt's and QEMU's versions, the address, and what is known of KVM."""
        known: dict[str, str] = {}
        for hypervisor in self._hypervisors.values():
            known |= hypervisor.versions()
        return {**known, **{f"accelerator of a {guest}": name for guest, name in self._opened().accelerators.items()}}

    def manifest(self, subject: Subject) -> Mapping[str, str]:
        """Return what the VM is made of."""
        prepared = self._prepared.get(subject.key)
        return describe(prepared.parts, prepared.accelerator, prepared.cpu) if prepared else {}

    def close(self) -> None:
        """Let go of the connections."""
        for hypervisor in self._hypervisors.values():
            hypervisor.close()
        self._hypervisors.clear()
        self._prepared.clear()
        if self._bridge is not None:
            self._bridge.remove()
            self._bridge = None
        self._session = None


def _xml(prepared: _Prepared, instance: VmInstance, identity: str) -> str:
    """Return the instance's domain."""
    spec = prepared.parts.spec(
        instance.domain_name, instance.nonce, prepared.accelerator, prepared.cpu, instance.directory, instance.overlay
    )
    return to_xml(replace(spec, uuid=identity, unconfined=prepared.hypervisor.confining))


@contextlib.contextmanager
def _removing(instance: VmInstance) -> Iterator[None]:
    """Remove the instance when its launch fails; a program that failed is the instance's failure."""
    try:
        yield
    except BaseException as error:
        instance.remove()
        if isinstance(error, BuildError):
            raise InstanceError(error.message, error.hint) from error
        raise
