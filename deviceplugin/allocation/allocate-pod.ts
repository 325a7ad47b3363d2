import type { CallSubject } from '../../base/call-recorder.js';
import { DevicePluginError } from '../device-plugin-error.js';
import { healthyCount, type DeviceList } from '../devices/device.js';
import type { DeviceEndpoint } from '../devices/endpoint.js';
import { grantedIds, withoutNuma, type Grant, type Grants } from '../devices/grants.js';
import type { ResourceEntry } from '../devices/resource-table.js';
import { waitForPlugins } from './wait-for-plugin.js';
import { reusableDevices, type AllocateResult, type ContainerRequest, type PodAdmission } from './admission.js';
import { chooseDevices } from './choose-devices.js';

export interface AllocateDeps {
  readonly graceMs: number;
  readonly now: () => number;
  readonly entry: (resource: string) => ResourceEntry | undefined;
  readonly grants: Grants;
  /** Resolves when what `grants` holds is on the disk. */
  readonly save: () => Promise<void>;
}

interface Wish {
  readonly container: ContainerRequest;
  readonly resource: string;
  readonly count: number;
}

/**
 * Devices for all containers of a pod, or none. The choice is written down before the first plugin is asked, so that a crash
 * in between leaves no device that two pods believe to hold; a failure gives back what this call took. Repeating it for a
 * pod that has its devices changes nothing. One call at a time per pod.
 */
export async function allocatePod(pod: PodAdmission, deps: AllocateDeps, signal: AbortSignal): Promise<AllocateResult> {
  const { wishes, ignored } = wishesOf(pod, deps);
  const entries = [...new Set(wishes.map((wish) => wish.resource))].flatMap((name) => deps.entry(name) ?? []);
  const wait = waitForPlugins(entries, deps.now(), deps.graceMs);
  if (wait !== undefined) return wait;
  const taken: Grant[] = [];
  try {
    for (const container of pod.containers) {
      const wanted = wishes.filter((wish) => wish.container === container);
      if (wanted.length === 0) continue;
      const affinity = await pod.affinity?.(container);
      for (const wish of wanted) {
        const intent = await chooseFor(pod, wish, affinity, deps, signal);
        if (intent !== undefined) taken.push(intent);
      }
    }
    if (taken.length > 0) {
      await deps.save();
      for (const intent of taken) deps.grants.set(await ask(pod, intent, deps, signal));
      await deps.save();
    }
    return { kind: 'allocated', ignored };
  } catch (err) {
    const given = [...taken, ...deps.grants.ofPod(pod.uid).filter((grant) => grant.response === undefined)];
    for (const { podUid, container, resource } of given) deps.grants.delete(podUid, container, resource);
    // A failed write must not hide why the allocation failed; the next write that works puts the file right.
    if (given.length > 0) await deps.save().catch(() => {});
    throw err;
  }
}

function wishesOf(pod: PodAdmission, deps: AllocateDeps): { wishes: readonly Wish[]; ignored: readonly string[] } {
  const wishes: Wish[] = [];
  const ignored = new Set<string>();
  for (const container of pod.containers) {
    if (container.running === true) continue;
    for (const [resource, count] of Object.entries(container.limits)) {
      if (count <= 0) continue;
      if (deps.entry(resource) === undefined) ignored.add(resource);
      else wishes.push({ container, resource, count });
    }
  }
  return { wishes, ignored: [...ignored] };
}

/** Reserves devices for one container and resource; undefined when it holds them already. */
async function chooseFor(
  pod: PodAdmission,
  wish: Wish,
  affinity: readonly number[] | undefined,
  deps: AllocateDeps,
  signal: AbortSignal,
): Promise<Grant | undefined> {
  const { container, resource, count } = wish;
  const held = deps.grants.get(pod.uid, container.name, resource);
  if (held?.response !== undefined) {
    checkHeld(held, wish, deps);
    return undefined;
  }
  // An intent is left of an allocation that a crash cut short: the same devices first, they may be half set up for this pod.
  const first = new Set(held === undefined ? [] : grantedIds(held));

  let preferred: 'not-asked' | 'none' | readonly string[] = 'not-asked';
  while (true) {
    const entry = deps.entry(resource);
    const reusable = new Set([...reusableDevices(pod, container.name, resource, deps.grants), ...first]);
    const devices: DeviceList = entry?.devices ?? new Map();
    const choice = chooseDevices({
      count,
      devices,
      inUse: deps.grants.inUse(resource),
      reusable,
      affinity,
      preferred: entry?.endpoint?.options.hasPreference === true ? preferred : 'none',
    });
    if (choice.kind === 'chosen') {
      const intent: Grant = {
        podUid: pod.uid,
        container: container.name,
        resource,
        byNuma: byNuma(choice.ids, devices),
        response: undefined,
      };
      // In the same turn as the choice: nobody else can have taken them.
      deps.grants.set(intent);
      return intent;
    }
    if (choice.kind === 'short') {
      const { requested, available } = choice;
      const words =
        healthyCount(devices) === 0
          ? `no healthy devices present; cannot allocate unhealthy devices ${resource}`
          : `requested number of devices unavailable for ${resource}. Requested: ${requested}, Available: ${available}`;
      throw new DevicePluginError(words, { code: 'insufficient', resource, requested, available });
    }
    // Others may allocate meanwhile: the choice is made afresh when the plugin has answered.
    preferred = await endpointOf(resource, deps).preferred(choice, subjectOf(pod, container.name), signal);
  }
}

function checkHeld(held: Grant, wish: Wish, deps: AllocateDeps): void {
  const ids = grantedIds(held);
  const { resource, count, container } = wish;
  if (ids.length !== count) {
    throw new DevicePluginError(
      `pod "${held.podUid}" container "${container.name}" changed request for resource "${resource}" from ${ids.length} to ${count}`,
      { code: 'request-changed', resource },
    );
  }
  const devices = deps.entry(resource)?.devices;
  const bad = ids.filter((id) => devices?.get(id)?.healthy !== true);
  if (bad.length > 0) {
    throw new DevicePluginError(
      `previously allocated devices are no longer healthy; cannot allocate unhealthy devices ${resource}: ${bad.join(', ')}`,
      { code: 'unhealthy', resource, devices: bad },
    );
  }
}

async function ask(pod: PodAdmission, intent: Grant, deps: AllocateDeps, signal: AbortSignal): Promise<Grant> {
  const endpoint = endpointOf(intent.resource, deps);
  const response = await endpoint.allocate(grantedIds(intent), subjectOf(pod, intent.container), signal);
  return { ...intent, response };
}

function endpointOf(resource: string, deps: AllocateDeps): DeviceEndpoint {
  const endpoint = deps.entry(resource)?.endpoint;
  if (endpoint !== undefined) return endpoint;
  throw new DevicePluginError(`allocate ${resource}: its device plugin left while devices were chosen`, {
    code: 'plugin-absent',
    resource,
  });
}

function subjectOf(pod: PodAdmission, container: string): CallSubject {
  return { podUid: pod.uid, podNamespace: pod.namespace, podName: pod.name, container };
}

function byNuma(ids: readonly string[], devices: DeviceList): ReadonlyMap<number, readonly string[]> {
  const grouped = new Map<number, string[]>();
  for (const id of ids) {
    const nodes = devices.get(id)?.numaNodes ?? [];
    for (const node of nodes.length > 0 ? nodes : [withoutNuma]) {
      grouped.set(node, [...(grouped.get(node) ?? []), id]);
    }
  }
  return grouped;
}
