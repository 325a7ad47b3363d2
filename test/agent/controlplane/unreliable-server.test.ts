import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import type { Agent } from '../../../agent/open-agent.js';
import type { Lease, Node, PodUid } from '../../../agent/api/index.js';
import { sampleImage } from '../agent-world.js';
import { pidsOf } from '../machine-traces.js';
import { hasControlPlane, TestControlPlane } from '../../support/control-plane.js';
import { badAnswers } from './bad-answers.js';
import { mainId, NodeWorld, told, whyOf } from './cluster-world.js';
import { FaultyProxy, type ProxiedRequest } from './faulty-proxy.js';

/** The ten minutes of an outage in earnest: `BERTH_TEST_OUTAGE_SECONDS=600`. */
const outageMs = Number(process.env['BERTH_TEST_OUTAGE_SECONDS'] ?? 0) * 1000;

describe.runIf(hasControlPlane())('trouble with the API server', () => {
  let cluster: TestControlPlane;
  beforeAll(async () => {
    cluster = await TestControlPlane.start({ apiServerFlags: ['--runtime-config=resource.k8s.io/v1beta1=true'] });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });

  async function proxied(): Promise<{ node: NodeWorld; proxy: FaultyProxy }> {
    const node = await NodeWorld.open(cluster);
    const proxy = await FaultyProxy.open(cluster, node.name);
    node.kubeconfig = await proxy.kubeconfig(cluster, node.name);
    return { node, proxy };
  }

  test(
    'a server that is away stops nothing, and what changed meanwhile happens when it is back',
    async () => {
      const { node, proxy } = await proxied();
      await using _proxy = proxy;
      await using _node = node;
      await using run = await node.start();
      const seconds = 1_000_000 + Math.floor(Math.random() * 1e6);
      const names = ['stays', 'goes', 'replaced', 'crashes'];
      for (const name of names.slice(0, 3)) await node.create(node.pod(name));
      await node.create(node.pod('crashes', {}, { command: ['sleep', String(seconds)] }));
      for (const name of names) await node.untilReady(name);
      const before = { stays: await node.untilReady('stays'), replaced: await node.untilReady('replaced') };
      await cluster.until('all is well', async () => (run.agent.clusterProblems().length === 0 ? true : undefined));
      proxy.goAway();
      await cluster.until('the log says so', async () => (run.log.text.includes('cannot be used') ? true : undefined));
      const away = told(/.*connect to 127\.0\.0\.1/);
      await cluster.until('berth why says so', async () => away.test(await whyOf(run.agent, 'stays')) || undefined);
      await node.delete('goes');
      await node.delete('replaced', { gracePeriodSeconds: 0 });
      await node.create(node.pod('replaced'));
      await node.create(node.pod('comes'));
      for (const pid of await pidsOf(`sleep ${seconds}`)) process.kill(pid, 'SIGKILL');
      const restarts = (): number | undefined =>
        run.agent.pods().find(({ pod }) => pod?.metadata?.name === 'crashes')?.status?.containerStatuses?.[0]
          ?.restartCount;
      await cluster.until('what crashed runs again', async () => (restarts() === 1 ? true : undefined));
      await delay(outageMs);
      proxy.comeBack();
      await node.untilGone('goes', 60_000);
      await node.untilReady('comes', 60_000);
      const after = await node.untilReady('stays');
      expect(mainId(after)).toBe(mainId(before.stays));
      expect(after.status?.containerStatuses?.[0]?.restartCount).toBe(0);
      expect(mainId(await node.untilReady('replaced', 60_000))).not.toBe(mainId(before.replaced));
      await node.untilPod(
        'tells of its restart',
        'crashes',
        (pod) => pod.status?.containerStatuses?.[0]?.restartCount === 1,
      );
      await cluster.until('all is well again', async () =>
        run.agent.clusterProblems().length === 0 ? true : undefined,
      );
      expect(await whyOf(run.agent, 'stays')).not.toContain('its cluster');
      const left = ['stays', 'replaced', 'crashes', 'comes'];
      for (const name of left) await node.delete(name);
      for (const name of left) await node.untilGone(name);
    },
    120_000 + outageMs,
  );

  test.each(['a start', 'a reboot'])(
    '%s without the server runs the last known pods with their ConfigMaps, and reconciles later',
    async (after) => {
      const { node, proxy } = await proxied();
      await using _proxy = proxy;
      await using _node = node;
      const first = await node.start();
      const name = `${node.name}-words`;
      const seconds = 1_000_000 + Math.floor(Math.random() * 1e6);
      await cluster.api('POST', '/api/v1/namespaces/default/configmaps', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name },
        data: { word: 'known' },
      });
      await cluster.api('POST', '/api/v1/namespaces/default/secrets', {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name },
        stringData: { key: 'well-hidden' },
      });
      const container = {
        name: 'main',
        image: sampleImage,
        command: [
          'sh',
          '-c',
          `test "$WORD" = known && test "$(cat /secret/key)" = well-hidden && exec sleep ${seconds}`,
        ],
        env: [{ name: 'WORD', valueFrom: { configMapKeyRef: { name, key: 'word' } } }],
        volumeMounts: [{ name: 'secret', mountPath: '/secret' }],
      };
      const volumes = [{ name: 'secret', secret: { secretName: name } }];
      const pod = await node.create(node.pod('faithful', { containers: [container], volumes }));
      await node.create(node.pod('removed'));
      await node.untilReady('faithful');
      await node.untilReady('removed');
      await first[Symbol.asyncDispose]();
      proxy.goAway();
      // As after a crash of the container while nobody looked.
      for (const pid of await pidsOf(`sleep ${seconds}`)) process.kill(pid, 'SIGKILL');
      if (after === 'a reboot') await node.world.reboot();
      await node.delete('removed', { gracePeriodSeconds: 0 });

      const second = await node.start();
      await cluster.until(
        'the pod runs again without the server',
        async () => {
          const known = second.agent.pod(pod.metadata?.uid as never);
          const status = known?.status?.containerStatuses?.[0];
          return status?.state?.running && status.restartCount === 1 ? true : undefined;
        },
        60_000,
      );
      expect(second.log.text).toContain('going on with the last known pods');
      const names = new Set(second.agent.pods().map((each) => each.pod?.metadata?.name));
      expect(names).toEqual(new Set(['faithful', 'removed']));
      for (const file of await readdir(`${node.world.config.paths.stateDir}/cluster`))
        expect((await readFile(`${node.world.config.paths.stateDir}/cluster/${file}`)).includes('well-hidden')).toBe(
          false,
        );

      proxy.comeBack();
      const back = await node.untilPod(
        'tells of the restart',
        'faithful',
        (each) => each.status?.containerStatuses?.[0]?.restartCount === 1,
        60_000,
      );
      expect(back.metadata?.uid).toBe(pod.metadata?.uid);
      await cluster.until(
        'the removed pod has gone',
        async () => (second.agent.pods().length === 1 ? true : undefined),
        60_000,
      );
      await node.delete('faithful');
      await node.untilGone('faithful');
      await cluster.until('nothing is left', async () =>
        (await node.world.leftovers()).length === 0 ? true : undefined,
      );
    },
  );

  const aWatch: ProxiedRequest = { method: 'GET', path: '/api/v1/pods?watch=1', isWatch: true };
  const runsHere = (agent: Agent, name: string): boolean =>
    agent
      .pods()
      .some(({ pod, status }) => pod?.metadata?.name === name && status?.containerStatuses?.[0]?.ready === true);
  test('every kind of bad answer is survived: no container is touched and pods that come meanwhile run', async () => {
    const { node, proxy } = await proxied();
    await using _proxy = proxy;
    await using _node = node;
    await using run = await node.start();
    await node.create(node.pod('witness'));
    const before = await node.untilReady('witness');
    for (const [what, when, fault, reason] of badAnswers) {
      const began = proxy.requests.length;
      proxy.fault = (request) => (when(request) ? fault : undefined);
      proxy.cutAll();
      const name = `pod-${badAnswers.findIndex(([each]) => each === what)}`;
      await node.create(node.pod(name));
      await cluster.until(`${what} was met`, async () =>
        proxy.requests.slice(began).filter(when).length >= 3 ? true : undefined,
      );
      // Its status is written while the answers are wrong: none of them may be taken for the server's yes.
      if (fault.kind === 'answer' && !when(aWatch))
        await cluster.until(`${name} runs meanwhile`, async () => runsHere(run.agent, name) || undefined);
      if (reason)
        await cluster.until(`berth why tells of ${what}`, async () =>
          told(reason).test(await whyOf(run.agent, 'witness')) ? true : undefined,
        );
      proxy.fault = () => undefined;
      await node.untilReady(name, 60_000);
      await node.delete(name, { gracePeriodSeconds: 0 });
    }
    expect(mainId(await node.untilReady('witness'))).toBe(mainId(before));
    expect(run.log.text).not.toContain('"level":50');
    await node.delete('witness');
    await node.untilGone('witness');
    await cluster.until('nothing is left', async () =>
      (await node.world.leftovers()).length === 0 ? true : undefined,
    );
  }, 240_000);

  test('garbage for some requests only: the reason is told steadily, once in the log, and nobody asks in a hurry', async () => {
    const { node, proxy } = await proxied();
    await using _proxy = proxy;
    await using _node = node;
    await using run = await node.start();
    await node.create(node.pod('onlooker'));
    const before = await node.untilReady('onlooker');
    let asked = 0;
    proxy.fault = () =>
      asked++ % 2 === 0 ? { kind: 'answer', status: 200, body: '<html>captive portal</html>' } : undefined;
    proxy.cutAll();
    const why = (): Promise<string> => whyOf(run.agent, 'onlooker');
    const cause = /.*(not JSON|not a watch event): <html>captive portal/;
    let cutAt = 0;
    /** Who has what he wanted asks no more: from time to time everything is asked anew, however long a look takes. */
    const looks = async (times: number): Promise<ReadonlySet<string>> => {
      const seen = new Set<string>();
      for (let look = 0; look < times; look++) {
        if (Date.now() - cutAt > 1000) {
          proxy.cutAll();
          cutAt = Date.now();
        }
        seen.add(cause.exec(await why())?.[0] ?? 'nothing');
        await delay(100);
      }
      return seen;
    };
    // What comes back once or twice may be a server that starts.
    await looks(60);
    const seen = await looks(40);
    expect([...seen]).not.toContain('nothing');
    expect(seen.size).toBeLessThan(3);
    // Heartbeats are few: theirs are seconds apart, and each time may be a new one.
    const said = run.log.text.split('\n').filter((line) => line.includes('the API server cannot be used'));
    expect(said.filter((line) => !line.includes('"heartbeat"')).length).toBeLessThan(4);
    proxy.fault = () => undefined;
    expect(mainId(await node.untilReady('onlooker'))).toBe(mainId(before));
    await node.delete('onlooker');
    await node.untilGone('onlooker');
  }, 120_000);

  test('a node object that is there is taken over, one that is deleted made again, and pods are not touched', async () => {
    await using node = await NodeWorld.open(cluster);
    const [zone, rack] = ['topology.kubernetes.io/zone', 'example.com/rack'];
    const made = { name: node.name, labels: { [zone]: 'old', [rack]: 'theirs' } };
    await cluster.api('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: made });
    // Of the machine that had this name before.
    const gpus = { 'example.com/gpu': '4' };
    await cluster.api('PATCH', `/api/v1/nodes/${node.name}/status`, { status: { capacity: gpus, allocatable: gpus } });
    await using run = await node.start({ labels: { [zone]: 'new', [rack]: 'ours' } });
    const labels = async (): Promise<string> => {
      const { metadata } = (await cluster.api('GET', `/api/v1/nodes/${node.name}`)).body as Node;
      return `${metadata?.labels?.[zone]} ${metadata?.labels?.[rack]}`;
    };
    // Where a machine is is its own to say, also later on; other labels only when it comes.
    await cluster.until('it is where it says', async () => (await labels()) === 'new theirs' || undefined);
    await cluster.until('it has no more than it has', async () => {
      const { status } = (await cluster.api('GET', `/api/v1/nodes/${node.name}`)).body as Node;
      const { capacity, allocatable } = status ?? {};
      return (capacity?.['example.com/gpu'] === '0' && allocatable?.['example.com/gpu'] === '0') || undefined;
    });
    await node.create(node.pod('homeless'));
    const before = await node.untilReady('homeless');
    const old = (await cluster.api('GET', `/api/v1/nodes/${node.name}`)).body as Node;
    await cluster.api('DELETE', `/api/v1/nodes/${node.name}`);
    await cluster.until('the node is back', async () => {
      const shown = await cluster.find<Node>(`/api/v1/nodes/${node.name}`);
      return shown && shown.metadata?.uid !== old.metadata?.uid ? true : undefined;
    });
    expect(run.log.text).toContain('the node object was deleted');
    expect(await labels()).toBe('new ours');
    expect(mainId(await node.untilReady('homeless'))).toBe(mainId(before));
    await node.delete('homeless');
    await node.untilGone('homeless');
  });

  test('a server that has claims of devices in their first form only: they are read there', async () => {
    const { node, proxy } = await proxied();
    await using _proxy = proxy;
    await using _node = node;
    const group = '/apis/resource.k8s.io';
    proxy.fault = ({ path }) =>
      /\/resource\.k8s\.io\/(v1|v1beta2)\//.test(path)
        ? { kind: 'answer', status: 404, headers: { 'content-type': 'text/plain' }, body: '404 page not found\n' }
        : undefined;
    await using run = await node.start();
    const claims = `${group}/v1beta1/namespaces/default/resourceclaims`;
    await cluster.api('POST', claims, {
      apiVersion: 'resource.k8s.io/v1beta1',
      kind: 'ResourceClaim',
      metadata: { name: 'one' },
      spec: { devices: { requests: [{ name: 'any', deviceClassName: 'example' }] } },
    });
    const resourceClaims = [{ name: 'gpu', resourceClaimName: 'one' }];
    const resources = { claims: [{ name: 'gpu' }] };
    const { metadata } = await node.create(node.pod('claiming', { resourceClaims }, { resources }));
    const result = { request: 'any', driver: 'gpu.example.com', pool: 'p', device: 'd' };
    const reservedFor = [{ resource: 'pods', name: 'claiming', uid: metadata?.uid }];
    await cluster.api('PATCH', `${claims}/one/status`, {
      status: { allocation: { devices: { results: [result] } }, reservedFor },
    });
    await cluster.until('it is told whom the claim waits for', async () =>
      (await whyOf(run.agent, 'claiming')).includes('gpu.example.com') ? true : undefined,
    );
    // What drivers that are gone offered is taken away in the same form.
    const sliced = (): boolean =>
      proxy.requests.some(
        ({ method, path }) => method === 'DELETE' && path.startsWith(`${group}/v1beta1/resourceslices`),
      );
    await cluster.until('slices are removed', async () => sliced() || undefined);
    expect(run.log.text).not.toContain('ResourceSlices could not be removed');
    await node.delete('claiming');
    await node.untilGone('claiming');
  });

  test('a clock that jumps touches no container, and the node goes on to say that it lives', async () => {
    await using node = await NodeWorld.open(cluster);
    let offsetMs = 0;
    const clock = { ...systemClock, now: () => Date.now() + offsetMs };
    await using run = await node.start({ leaseSeconds: 4, statusEveryMs: 500 }, clock);
    await node.create(node.pod('timeless', {}, { readinessProbe: { exec: { command: ['true'] }, periodSeconds: 1 } }));
    const before = await node.untilReady('timeless');
    const lease = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${node.name}`;
    const hour = 3_600_000;
    for (const jump of [5 * hour, -5 * hour, 0]) {
      offsetMs = jump;
      await cluster.until('the lease has the new time', async () => {
        const renewed = (await cluster.find<Lease>(lease))?.spec?.renewTime ?? '';
        return Math.abs(Date.parse(renewed) - clock.now()) < 60_000 ? true : undefined;
      });
      const name = `after-${Math.abs(jump)}-${Math.sign(jump) + 1}`;
      await node.create(node.pod(name));
      await node.untilReady(name);
      await node.delete(name);
      await node.untilGone(name);
    }
    const after = await node.untilReady('timeless');
    expect(mainId(after)).toBe(mainId(before));
    expect(run.log.text).not.toContain('"level":50');
    await node.delete('timeless');
    await node.untilGone('timeless');
  });

  test('two agents with one name: it is said on the node, and is over when one of them goes', async () => {
    await using node = await NodeWorld.open(cluster);
    await using other = await NodeWorld.open(cluster, node.name);
    const settings = { leaseSeconds: 2, statusEveryMs: 500 };
    await using run = await node.start(settings);
    await node.create(node.pod('shared'));
    const uid = (await node.untilReady('shared')).metadata?.uid as PodUid;
    const before = mainId({ status: run.agent.pod(uid)?.status });
    const second = await other.start(settings);
    const said = async (): Promise<string> => {
      const shown = await cluster.find<Node>(`/api/v1/nodes/${node.name}`);
      return shown?.status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '';
    };
    await cluster.until('the node says so', async () =>
      (await said()).includes('two agents have one name') ? true : undefined,
    );
    expect(`${run.log.text}${second.log.text}`).toContain('two agents have one name');
    await second[Symbol.asyncDispose]();
    await cluster.until('the node is fine', async () =>
      (await said()) === 'kubelet is posting ready status' ? true : undefined,
    );
    await node.untilPod('is shown as the one that stayed sees it', 'shared', (pod) => mainId(pod) === before);
    await cluster.until('all is well', async () => (run.agent.clusterProblems().length === 0 ? true : undefined));
    await node.delete('shared');
    await node.untilGone('shared');
  });
});
