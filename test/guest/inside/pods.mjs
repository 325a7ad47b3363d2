// Pods of the checks, and where their cgroups are.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const image = 'localhost/test/busybox:1';
const cgroups = '/sys/fs/cgroup';
const busy = "trap 'exit 0' TERM; sleep 1000000 & wait";

export const container = (resources, script = busy, more = {}) => ({
  ...{ name: 'main', image, command: ['sh', '-c', script], resources },
  ...more,
});

export const podOf = (name, containers, more = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { terminationGracePeriodSeconds: 1, containers, ...more },
});

/** Of Burstable or BestEffort pods; without a tier that of all pods. */
export function tierFolder(driver, tier = '') {
  if (driver === 'cgroupfs') return join(cgroups, 'kubepods', tier);
  return join(cgroups, 'kubepods.slice', tier === '' ? '' : `kubepods-${tier}.slice`);
}

/** Folder of a pod's cgroup, as the driver names it. */
export function podFolder(driver, { uid, status }) {
  const qos = status.qosClass.toLowerCase();
  const tier = qos === 'guaranteed' ? '' : qos;
  const above = tierFolder(driver, tier);
  if (driver === 'cgroupfs') return join(above, `pod${uid}`);
  return join(above, `${tier === '' ? 'kubepods' : `kubepods-${tier}`}-pod${uid.replaceAll('-', '_')}.slice`);
}

export function containerId({ status }, name = 'main') {
  const found = status.containerStatuses?.find((each) => each.name === name);
  return (found?.containerID ?? '').replace('berth://', '');
}

/** Folder of a container's cgroup; crun puts the processes one below the scope of systemd, runc into it. */
export function containerFolder(driver, pod, { name = 'main', below = 'container' } = {}) {
  const id = containerId(pod, name);
  const folder = podFolder(driver, pod);
  return driver === 'cgroupfs' ? join(folder, id) : join(folder, `berth-${id}.scope`, below);
}

export const value = (folder, file) => readFileSync(join(folder, file), 'utf8').trim();

/** What is left of pods below the cgroup of all. */
export function leftFolders(driver, folder = tierFolder(driver)) {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => [
      ...(/pod[0-9a-f]{8}/.test(entry.name) ? [entry.name] : []),
      ...leftFolders(driver, join(folder, entry.name)),
    ]);
}
