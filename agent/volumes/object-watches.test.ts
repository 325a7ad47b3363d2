import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { PodUid } from '../api/index.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import { ObjectWatches } from './object-watches.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const signal = new AbortController().signal;
const [one, two] = ['1', '2'] as [PodUid, PodUid];

/** Tells what is watched; `change` calls the watchers of one kind. */
function world(): { objects: Pick<ControlPlane, 'get' | 'watch'>; watched: string[]; change: (kind: string) => void } {
  const watchers: { kind: string; call: () => void }[] = [];
  const watched: string[] = [];
  return {
    watched,
    change: (kind) => watchers.filter((each) => each.kind === kind).forEach(({ call }) => call()),
    objects: {
      get: () => Promise.resolve(undefined),
      watch: (kind, _namespace, name, call) => {
        watched.push(`${kind}/${name}`);
        watchers.push({ kind, call });
        return { [Symbol.dispose]: () => {} };
      },
    },
  };
}

test('what a node may not watch is looked at again each minute, for the pods that use it', async () => {
  const { objects, watched } = world();
  const looked: string[] = [];
  const cluster = { nodeName: 'here', volumesAttached: () => Promise.resolve('[]') };
  using watches = new ObjectWatches(objects, (uid) => looked.push(uid), cluster);
  await watches.read(one, 'ConfigMap', 'default', 'words', signal);
  await watches.read(two, 'PersistentVolumeClaim', 'default', 'mine', signal);
  await watches.read(two, 'PersistentVolume', '', 'disk', signal);
  expect(watched).toEqual(['ConfigMap/words']);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(looked).toEqual([two, two]);
  watches.release(two);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(looked).toEqual([two, two]);
});

test('attachments are looked at when the node says that something else is attached, and not at its heartbeats', async () => {
  const { objects, watched, change } = world();
  const looked: string[] = [];
  let attached = '[]';
  const cluster = { nodeName: 'here', volumesAttached: () => Promise.resolve(attached) };
  using watches = new ObjectWatches(objects, (uid) => looked.push(uid), cluster);
  await watches.read(one, 'VolumeAttachment', '', 'csi-1', signal);
  await vi.advanceTimersByTimeAsync(0);
  looked.length = 0;
  expect(watched).toEqual(['Node/here']);
  change('Node');
  await vi.advanceTimersByTimeAsync(0);
  expect(looked).toEqual([]);
  attached = '[{"name":"v"}]';
  change('Node');
  await vi.advanceTimersByTimeAsync(0);
  expect(looked).toEqual([one]);
});

test('without a cluster everything is watched', async () => {
  const { objects, watched, change } = world();
  const looked: string[] = [];
  using watches = new ObjectWatches(objects, (uid) => looked.push(uid));
  await watches.read(one, 'PersistentVolumeClaim', 'default', 'mine', signal);
  expect(watched).toEqual(['PersistentVolumeClaim/mine']);
  change('PersistentVolumeClaim');
  expect(looked).toEqual([one]);
});
