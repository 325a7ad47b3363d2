import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sampleImage } from '../../agent-world.js';
import { ask } from './https-client.js';
import { MetricsStandIn } from './metrics-stand-in.js';
import { missingMetrics } from './monitored-metrics.js';
import { hasWholeCluster, WholeCluster } from './whole-cluster.js';
import { barePod, podOnFolder, serve, stay, talk, workload } from './workloads.js';

const nodeName = 'ordinary-node';

/** What an operator of a cluster does, with nothing but kubectl; the agent is a process with a kubelet's configuration. */
describe.runIf(hasWholeCluster())('a whole cluster with one berth node', () => {
  let whole: WholeCluster;
  let dropIns: string;
  beforeAll(async () => {
    dropIns = await mkdtemp(join(tmpdir(), 'berth-drop-ins-'));
    const head = { apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' };
    await mkdir(join(dropIns, 'site'));
    await writeFile(join(dropIns, '10-pods.conf'), JSON.stringify({ ...head, maxPods: 70, podPidsLimit: 4000 }));
    await writeFile(join(dropIns, 'site', '20-pods.conf'), JSON.stringify({ ...head, maxPods: 77 }));
    const flags = ['--node-labels=example.com/rack=r1', `--config-dir=${dropIns}`];
    whole = await WholeCluster.open({
      nodeName,
      flags,
      kubelet: { serverTLSBootstrap: true, volumeStatsAggPeriod: '1s' },
    });
    // Not in the role of kubelet clients; whoever wants it must give it.
    await whole.cluster.api('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      metadata: { name: 'statusz' },
      rules: [{ apiGroups: [''], resources: ['nodes/statusz'], verbs: ['get'] }],
    });
    await whole.cluster.bind('kubelet-clients', 'statusz');
  });
  afterAll(async () => {
    await whole?.[Symbol.asyncDispose]();
    await rm(dropIns, { recursive: true, force: true });
  });

  test('it joins with a bootstrap token and is Ready; describe, labels and events are those of a kubelet', async () => {
    await whole.until('the node is ready', async () => {
      const { stdout } = await whole.try(['wait', '--for=condition=Ready', `node/${nodeName}`, '--timeout=10s']);
      return stdout.includes('condition met') ? true : undefined;
    });
    expect(await whole.kubectl(['get', 'nodes'])).toMatch(/ordinary-node +Ready +<none> +\S+ +v1\.36/);
    // Nobody but an operator says that it may serve under its names; until then the node says what it waits for.
    const ready = '{.status.conditions[?(@.type=="Ready")].message}';
    const request = await whole.until('the node asks for its serving certificate', async () => {
      return /WARNING: .*kubectl certificate approve (\S+)/.exec(await whole.column(`node ${nodeName}`, ready))?.[1];
    });
    await whole.kubectl(['certificate', 'approve', request]);
    await whole.until('it serves with that certificate', async () => {
      const options = { host: whole.nodeAddress, ca: whole.cluster.caCert, rejectUnauthorized: true };
      const answer = await ask({ port: whole.kubeletPort, path: '/healthz', options }).catch(() => undefined);
      return answer?.status === 401 || undefined;
    });
    const labels = JSON.parse(await whole.column(`node ${nodeName}`, '{.metadata.labels}')) as object;
    expect(labels).toMatchObject({ 'kubernetes.io/hostname': nodeName, 'example.com/rack': 'r1' });
    const told = [/HolderIdentity: +ordinary-node/, /Ready +True .*KubeletReady +kubelet is posting ready status/];
    await whole.until('describe shows its lease, and that it is ready', async () => {
      const text = await whole.kubectl(['describe', 'node', nodeName]);
      return told.every((line) => line.test(text)) || undefined;
    });
    await whole.until('its events', async () => {
      const events = await whole.kubectl(['get', 'events', `--field-selector=involvedObject.name=${nodeName}`]);
      return ['Starting', 'NodeReady', 'NodeHasSufficientMemory'].every((each) => events.includes(each)) || undefined;
    });
    // Nothing was tried in vain before the certificate came, and nothing was said about it as if it had been.
    expect(whole.log).not.toContain('ENOENT');
  });

  test('a Deployment and a DaemonSet are rolled out and updated', async () => {
    const readinessProbe = { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 };
    const resources = { requests: { cpu: '10m', memory: '16Mi' } };
    await whole.apply(
      workload('Deployment', 'web', serve, { readinessProbe, resources }),
      workload('DaemonSet', 'talker', talk),
    );
    const rolledOut = async (): Promise<void> => {
      for (const name of ['deployment/web', 'daemonset/talker'])
        await whole.kubectl(['rollout', 'status', name, '--timeout=60s']);
    };
    await rolledOut();
    const uids = async (): Promise<readonly string[]> =>
      (await whole.column('pods -l app=talker', '{.items[*].metadata.uid}')).split(' ');
    const before = await uids();
    await whole.kubectl(['set', 'env', 'deployment/web', 'daemonset/talker', 'CHANGED=yes']);
    await rolledOut();
    // One that has ended may still be shown when the next one runs.
    await whole.until('those before have gone', async () => {
      const now = await uids();
      return !before.some((uid) => now.includes(uid)) || undefined;
    });
    const [name = ''] = await whole.running('app=web');
    expect(await whole.kubectl(['exec', name, '--', 'sh', '-c', 'echo $CHANGED'])).toBe('yes\n');
  });

  test('debug: beside the processes of a pod, and on the node itself', async () => {
    const [name = ''] = await whole.running('app=web');
    const image = ['--image', sampleImage, '--profile=general'];
    await whole.kubectl(['debug', name, ...image, '-c', 'look', '--target=main', '--', 'sh', '-c', 'ps; echo seen']);
    const path = '{.status.ephemeralContainerStatuses[0].state.terminated.reason}';
    await whole.until(
      'it has ended',
      async () => (await whole.column(`pod ${name}`, path)) === 'Completed' || undefined,
    );
    expect(await whole.kubectl(['logs', name, '-c', 'look'])).toMatch(/1 root +httpd[^]*seen\n$/);
    await using inside = whole.start(
      ['debug', '-it', name, ...image, '-c', 'shell', '--target=main', '--', 'sh', '-c', 'read x; echo typed $x'],
      { terminal: true },
    );
    inside.child.stdin.write('words\n');
    await inside.until('typed words');
    const said = await whole.kubectl([
      'debug',
      `node/${nodeName}`,
      ...image,
      '--',
      'sh',
      '-c',
      'ls /host/proc/self/ns',
    ]);
    const debugger_ = /node-debugger-\S+/.exec(said)?.[0] ?? '';
    await whole.kubectl(['wait', '--for=jsonpath={.status.phase}=Succeeded', `pod/${debugger_}`, '--timeout=60s']);
    expect(await whole.kubectl(['logs', debugger_])).toContain('mnt');
    await whole.kubectl(['delete', 'pod', debugger_]);
  });

  test('of one pod: where it is, what happened to it, another size while it runs, and a copy to look into', async () => {
    const [name = ''] = await whole.running('app=web');
    const ip = await whole.column(`pod ${name}`, '{.status.podIP}');
    const row = new RegExp(`^${name} +1/1 +Running +0 +\\S+ +${ip.replaceAll('.', '\\.')} +${nodeName} `, 'm');
    expect(await whole.kubectl(['get', 'pods', '-o', 'wide'])).toMatch(row);
    await whole.until('its events', async () => {
      const events = await whole.kubectl(['events', `--for=pod/${name}`]);
      const told = (reason: string): boolean => new RegExp(`Normal +${reason} +Pod/${name} `).test(events);
      return ['Scheduled', 'Pulled', 'Created', 'Started'].every(told) || undefined;
    });
    const requests = { cpu: '20m', memory: '16Mi' };
    const change = { spec: { containers: [{ name: 'main', resources: { requests } }] } };
    await whole.kubectl(['patch', 'pod', name, '--subresource=resize', `--patch=${JSON.stringify(change)}`]);
    const size = '{.status.containerStatuses[0].resources.requests.cpu} {.status.containerStatuses[0].restartCount}';
    await whole.until(
      'it has the new size',
      async () => (await whole.column(`pod ${name}`, size)) === '20m 0' || undefined,
    );

    const shared = [
      '--copy-to=web-copy',
      '--share-processes',
      '--image',
      sampleImage,
      '-c',
      'look',
      '--profile=general',
    ];
    await whole.kubectl(['debug', name, ...shared, '--', 'sh', '-c', 'until ps | grep http[d]; do sleep 0.1; done']);
    const state = '{.status.containerStatuses[?(@.name=="look")].lastState.terminated.reason}';
    await whole.until('it has seen the other container', async () =>
      (await whole.column('pod web-copy', state)) === 'Completed' ? true : undefined,
    );
    // It may just be looking again.
    await whole.until('what it has seen', async () => {
      const logs = await Promise.all(
        [[], ['--previous']].map((more) => whole.try(['logs', 'web-copy', '-c', 'look', ...more])),
      );
      return logs.some(({ stdout }) => stdout.includes('httpd -f -p 8080')) || undefined;
    });
    await whole.kubectl(['delete', 'pod', 'web-copy', '--now']);
  });

  test('top, from what metrics-server scrapes', async () => {
    await using metrics = await MetricsStandIn.open(whole);
    const scraped = await metrics.scrape();
    // metrics-server takes the time of a sample from the sample, and drops containers that do not say when they began.
    expect(scraped).toMatch(/^node_cpu_usage_seconds_total \d+\.?\d* \d{13}$/m);
    expect(scraped).toMatch(
      /^container_start_time_seconds\{container="main",namespace="default",pod="talker-\w+"\} \d/m,
    );
    await whole.until('two scrapes', async () => {
      await metrics.scrape();
      return metrics.hasRates || undefined;
    });
    const table = await whole.until('top nodes', async () => {
      const { stdout } = await whole.try(['top', 'node']);
      return /ordinary-node/.test(stdout.toString()) ? stdout.toString() : undefined;
    });
    expect(table).toMatch(/ordinary-node +\d+m +\d+% +\d+Mi +\d+%/);
    expect(await whole.kubectl(['top', 'pods', '-l', 'app=talker'])).toMatch(/talker-\w+ +\d+m +\d+Mi/);
  });

  test('through the API server: logs that follow, z-pages, configz, and clear refusals', async () => {
    const [name = ''] = await whole.running('app=talker');
    await using following = whole.start(['logs', '-f', name, '--tail=1']);
    await following.until('line ');
    // The cluster's clients come by :10250; people on the node ask the node.
    expect(await whole.berth('get', 'nodes')).toMatch(/ordinary-node +Ready +\d/);
    const raw = async (path: string): Promise<string> => {
      const { stdout, stderr } = await whole.try(['get', '--raw', `/api/v1/nodes/${nodeName}/proxy/${path}`]);
      return `${stdout.toString()}${stderr}`;
    };
    expect(await raw('healthz')).toBe('ok');
    await whole.until(
      'the right to see it',
      async () => (await raw('statusz')).includes('kubelet statusz') || undefined,
    );
    expect(await raw('flagz')).toContain(`hostname-override=${nodeName}`);
    expect(JSON.parse(await raw('configz'))).toMatchObject({
      kubeletconfig: {
        rotateCertificates: true,
        evictionHard: { 'memory.available': '100Mi' },
        imageMinimumGCAge: '2m0s',
        // What the folder of drop-ins says, file after file.
        maxPods: 77,
        podPidsLimit: 4000,
      },
    });
    expect(await whole.column(`node ${nodeName}`, '{.status.capacity.pods}')).toBe('77');
    const metrics = await raw('metrics');
    expect(metrics).toMatch(/^kubelet_certificate_manager_client_ttl_seconds \d{6,7}$/m);
    expect(metrics).toMatch(/^kubelet_pod_start_sli_duration_seconds_count [1-9]/m);
    // The API server hands WebSockets on as they are, because the node says that it speaks them.
    expect(metrics).toMatch(/^kubelet_websocket_streaming_requests_total\{subresource="exec"\} [1-9]/m);
    expect(metrics).toMatch(/^rest_client_requests_total\{code="200",host="127.0.0.1:\d+",method="PATCH"\} \d/m);
    expect(await raw('logs/?query=kubelet')).toContain('set enableSystemLogQuery');
    expect(await raw('debug/pprof/')).toContain('MethodNotAllowed');
  });

  test('Prometheus’ standard kubelet job: every metric that its rules and dashboards read, with their labels', async () => {
    const name = 'filling';
    await whole.apply(...podOnFolder(name, { nodeName, path: whole.world.dir }));
    await whole.kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=60s']);
    const missing = (): Promise<string[]> =>
      missingMetrics((path) => whole.kubectl(['get', '--raw', `/api/v1/nodes/${nodeName}/proxy/${path}`]));
    // What volumes and containers use is measured now and then.
    let left: string[] = [];
    await whole
      .until('nothing is missing', async () => (left = await missing()).length === 0 || undefined)
      .catch(() => {});
    await whole.kubectl(['delete', 'pod', name]);
    expect(left).toEqual([]);
  });

  test('cordon, drain and uncordon; a budget holds pods back, and a watcher sees each pod go', async () => {
    const selector = { matchLabels: { app: 'web' } };
    await whole.apply({
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'web' },
      spec: { minAvailable: 1, selector },
    });
    await whole.kubectl(['wait', '--for=jsonpath={.status.disruptionsAllowed}=1', 'pdb/web', '--timeout=60s']);
    await using watching = whole.start(['get', 'pods', '-l', 'app=web', '-w', '--output-watch-events']);
    await watching.until('ADDED');
    const before = await whole.running('app=web');
    const drain = ['drain', nodeName, '--ignore-daemonsets', '--delete-emptydir-data'];
    // The node is cordoned: nothing takes the place of the first, and the second must stay.
    {
      await using held = whole.start(drain);
      await held.until("Cannot evict pod as it would violate the pod's disruption budget");
      await whole.until('one is gone', async () => (await whole.running('app=web')).length === 1 || undefined);
    }
    expect((await whole.running('app=web')).length).toBe(1);
    await whole.kubectl(['delete', 'pdb', 'web']);
    await whole.kubectl([...drain, '--timeout=60s']);
    expect(await whole.kubectl(['get', 'node', nodeName])).toMatch(/Ready,SchedulingDisabled/);
    for (const name of before) await watching.until(`DELETED    ${name}`);
    expect((await whole.running('app=talker')).length).toBe(1);
    await whole.kubectl(['uncordon', nodeName]);
    await whole.kubectl(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    await whole.until('the node tells of both', async () => {
      const events = await whole.kubectl(['get', 'events', `--field-selector=involvedObject.name=${nodeName}`]);
      return ['NodeNotSchedulable', 'NodeSchedulable'].every((each) => events.includes(` ${each} `)) || undefined;
    });
  });

  test('delete with a grace of its own, at once, and by force', async () => {
    const stubborn = (name: string): object => barePod(name, stay, { terminationGracePeriodSeconds: 300 });
    await whole.apply(...['short', 'now', 'forced'].map(stubborn), barePod('obliging', talk));
    const all = ['short', 'now', 'forced', 'obliging'].map((name) => `pod/${name}`);
    await whole.kubectl(['wait', '--for=condition=Ready', ...all, '--timeout=60s']);
    const took = async (...args: string[]): Promise<number> => {
      const began = Date.now();
      await whole.kubectl(['delete', 'pod', ...args]);
      return Date.now() - began;
    };
    // The grace of a pod may be made shorter while it ends.
    await whole.kubectl(['delete', 'pod', 'short', '--wait=false']);
    const times = await Promise.all([
      took('short', '--grace-period=2'),
      took('now', '--now'),
      took('forced', '--force', '--grace-period=0'),
      // A long grace is what a pod may have, not what it must take.
      took('obliging', '--grace-period=3600'),
    ]);
    expect(times[0]).toBeGreaterThan(1500);
    for (const each of times) expect(each).toBeLessThan(60_000);
  });

  test('a node whose label comes with the pod that asks for it takes it; one that asks for another is refused', async () => {
    const asks = (name: string, rack: string): object => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: {
        nodeName,
        nodeSelector: { 'example.com/room': rack },
        restartPolicy: 'Never',
        containers: [{ name: 'main', image: sampleImage, command: ['true'] }],
      },
    });
    await Promise.all([
      whole.kubectl(['label', 'node', nodeName, 'example.com/room=a']),
      whole.apply(asks('elsewhere', 'b')),
    ]);
    await whole.apply(asks('here', 'a'));
    await whole.kubectl(['wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/here', '--timeout=60s']);
    await whole.kubectl(['wait', '--for=jsonpath={.status.phase}=Failed', 'pod/elsewhere', '--timeout=60s']);
    expect(await whole.column('pod elsewhere', '{.status.reason}: {.status.message}')).toBe(
      "NodeAffinity: Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    );
  });

  test('what a node must declare before it gets it: pods that start over as a whole, and sizes of pods and init containers that change', async () => {
    const once = 'test -e /e/done && exec sleep 1000000; touch /e/done; sleep 1; exit 42';
    const rules = [{ action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [42] } }];
    const volumeMounts = [{ name: 'e', mountPath: '/e' }];
    const command = (script: string): object => ({ image: sampleImage, command: ['sh', '-c', script] });
    const size = (cpu: string): object => ({ requests: { cpu, memory: '32Mi' }, limits: { cpu, memory: '32Mi' } });
    await whole.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'over' },
      spec: {
        terminationGracePeriodSeconds: 0,
        resources: size('100m'),
        initContainers: [{ name: 'slow', ...command('until test -e /e/go; do sleep 0.1; done'), volumeMounts }],
        containers: [
          { name: 'once', ...command(once), restartPolicy: 'Never', restartPolicyRules: rules, volumeMounts },
          { name: 'other', ...command('exec sleep 1000000') },
        ],
        volumes: [{ name: 'e', emptyDir: {} }],
      },
    });
    const initRuns = '{.status.initContainerStatuses[0].state.running.startedAt}';
    await whole.until(
      'its init container runs',
      async () => (await whole.column('pod over', initRuns)) !== '' || undefined,
    );
    const resize = async (patch: object): Promise<string> =>
      await whole.kubectl(['patch', 'pod', 'over', '--subresource=resize', `--patch=${JSON.stringify(patch)}`]);
    await resize({ spec: { resources: size('120m') } });
    await whole.until('it has the new size', async () => {
      const events = await whole.kubectl(['get', 'events', '--field-selector=involvedObject.name=over']);
      return events.includes('ResizeCompleted') || undefined;
    });
    await whole.kubectl(['exec', 'over', '-c', 'slow', '--', 'touch', '/e/go']);
    const counts = '{.status.containerStatuses[*].restartCount}';
    await whole
      .until('all started over', async () => (await whole.column('pod over', counts)) === '1 1' || undefined)
      .catch(async (err: unknown) => {
        throw new Error(await whole.kubectl(['get', 'pod', 'over', '-o', 'yaml']), { cause: err });
      });
    await whole.kubectl(['wait', '--for=condition=Ready', 'pod/over', '--timeout=60s']);
    await whole.kubectl(['delete', 'pod', 'over']);
  });

  test('the agent is killed and the node object deleted: nothing that runs is touched', async () => {
    const ids = async (): Promise<string> =>
      await whole.column('pods -l app --sort-by=.metadata.name', '{.items[*].status.containerStatuses[*].containerID}');
    const before = await ids();
    expect(before.split(' ').length).toBe(3);
    await whole.stopAgent('SIGKILL');
    whole.startAgent();
    const uid = await whole.column(`node ${nodeName}`, '{.metadata.uid}');
    await whole.kubectl(['delete', 'node', nodeName]);
    await whole.until('the node is back', async () => {
      const { stdout } = await whole.try(['get', 'node', nodeName, '-o', 'jsonpath={.metadata.uid}']);
      return (stdout.length > 0 && stdout.toString() !== uid) || undefined;
    });
    await whole.kubectl(['wait', '--for=condition=Ready', `node/${nodeName}`, '--timeout=60s']);
    await whole.kubectl(['wait', '--for=condition=Ready', 'pods', '-l', 'app', '--timeout=60s']);
    expect(await ids()).toBe(before);
  });

  test('with the API server gone the node itself tells why, serves those who sit on it, and goes on where it was', async () => {
    const [name = ''] = await whole.running('app=talker');
    const id = (): Promise<string> => whole.column(`pod ${name}`, '{.status.containerStatuses[0].containerID}');
    const before = await id();
    await whole.cluster.stopApiServer();
    const told = /Between this node and its cluster:\s+the cluster at https:\S+ cannot be used: /;
    await whole.until('it is told', async () => told.test(await whole.berth('why', name)) || undefined);
    const last = /^line \d+\n$/;
    // One more may be written while the last one is read.
    await whole.until('its last line', async () => last.test(await whole.berth('logs', name, '--tail=1')) || undefined);
    expect(await whole.berth('exec', name, '--', 'echo', 'reached')).toBe('reached\n');
    await whole.cluster.startApiServer();
    await whole.until('it is over', async () => !told.test(await whole.berth('why', name)) || undefined);
    await whole.kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=60s']);
    expect(await id()).toBe(before);
    await whole.until('it again', async () => last.test(await whole.kubectl(['logs', name, '--tail=1'])) || undefined);
  });
});
