import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { loadService } from '../../../proto/load.js';
import type { PodLine } from '../agent-run.js';
import { container, idle, podManifest, script } from '../pod-objects.js';
import { SharedAgent } from '../shared-agent.js';

const shared = SharedAgent.use((config) => ({ ...config, limits: { ...config.limits, restartBackoffMaxMs: 1000 } }));

const say = (word: string): string => `echo ${word} >> /notes/log`;
const main = (pod: PodLine) => pod.status.containerStatuses?.find((status) => status.name === 'main');
const seconds = (from: number): number => (performance.now() - from) / 1000;

/** Deletes a pod and tells how long that took. */
async function deletion(name: string, graceSeconds?: number): Promise<number> {
  const { run } = shared;
  const from = performance.now();
  await run.delete(name, graceSeconds);
  await run.until(`pod ${name} is gone`, () => run.find(name) === undefined);
  return seconds(from);
}

/** A server of the machine itself that remembers who asked. */
async function witness(answer: (request: IncomingMessage) => number) {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    response.writeHead(answer(request)).end('hello');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { seen, port, [Symbol.dispose]: () => void server.close() };
}

describe.concurrent('hooks', () => {
  test('exec: postStart ends before the container counts as running, preStop before the stop signal', async () => {
    const { run } = shared;
    const notes = await shared.notes('exec-hooks');
    await run.apply(
      podManifest(
        'exec-hooks',
        notes.in({
          terminationGracePeriodSeconds: 10,
          containers: [
            script('main', `trap '${say('stopped')}; exit 0' TERM; sleep 1000000 & wait`, {
              env: [{ name: 'WORD', value: 'hooked' }],
              lifecycle: {
                postStart: { exec: { command: ['sh', '-c', `sleep 0.5; ${say('$(WORD)')}`] } },
                preStop: { exec: { command: ['sh', '-c', `sleep 0.5; ${say('pre-stop')}`] } },
              },
            }),
            script('next', `trap 'exit 0' TERM; ${say('next')}; sleep 1000000 & wait`),
          ],
        }),
      ),
    );
    await run.untilPod('exec-hooks', 'runs its first container', (pod) => main(pod)?.state?.running !== undefined);
    expect((await notes.lines())[0]).toBe('hooked');
    await run.untilPod('exec-hooks', 'is ready', (pod) => pod.ready);
    await notes.untilLines(['hooked', 'next']);
    await deletion('exec-hooks');
    expect(await notes.lines()).toEqual(['hooked', 'next', 'pre-stop', 'stopped']);
  });

  test('httpGet: called with the name of a hook', async () => {
    const { run } = shared;
    using server = await witness(() => 200);
    await run.apply(
      podManifest('http-hooks', {
        containers: [
          container('main', {
            lifecycle: {
              postStart: { httpGet: { host: '127.0.0.1', port: server.port, path: '/started' } },
              preStop: {
                httpGet: {
                  host: '127.0.0.1',
                  port: server.port,
                  path: '/stopping?now',
                  httpHeaders: [{ name: 'X-Who', value: 'me' }],
                },
              },
            },
          }),
        ],
      }),
    );
    await run.untilPod('http-hooks', 'is ready', (pod) => pod.ready);
    await deletion('http-hooks');
    expect(server.seen.map(({ url }) => url)).toEqual(['/started', '/stopping?now']);
    expect(server.seen.map(({ headers }) => headers['user-agent'])).toEqual([
      'kube-lifecycle/1.36',
      'kube-lifecycle/1.36',
    ]);
    expect(server.seen[1]?.headers['x-who']).toBe('me');
  });

  test('httpGet over TLS that is answered without: tried again, but not with credentials', async () => {
    const { run } = shared;
    using server = await witness(() => 200);
    const httpHeaders = [
      { name: 'Authorization', value: 'Bearer word' },
      { name: 'X-Who', value: 'me' },
    ];
    const httpGet = { host: '127.0.0.1', port: server.port, scheme: 'HTTPS' as const, httpHeaders };
    await run.apply(
      podManifest('fallback', { containers: [container('main', { lifecycle: { postStart: { httpGet } } })] }),
    );
    await run.untilPod('fallback', 'is ready', (pod) => pod.ready);
    expect(server.seen.map(({ headers }) => [headers['x-who'], headers.authorization])).toEqual([['me', undefined]]);
    expect(run.eventsOf('fallback').join('\n')).toContain('LifecycleHTTPFallback: ');
  });

  test('the stop signal is the one the container asks for', async () => {
    const { run } = shared;
    const notes = await shared.notes('signalled');
    const traps = `trap '${say('usr1')}; exit 0' USR1; trap '${say('term')}; exit 0' TERM`;
    await run.apply(
      podManifest(
        'signalled',
        notes.in({
          os: { name: 'linux' },
          terminationGracePeriodSeconds: 10,
          containers: [
            script('main', `${traps}; ${say('up')}; sleep 1000000 & wait`, { lifecycle: { stopSignal: 'SIGUSR1' } }),
          ],
        }),
      ),
    );
    const ready = await run.untilPod('signalled', 'is ready', (pod) => pod.ready);
    expect(main(ready)?.stopSignal).toBe('SIGUSR1');
    await notes.untilLines(['up']);
    await deletion('signalled');
    expect(await notes.lines()).toEqual(['up', 'usr1']);
  });

  test('sleep: what preStop takes comes off the grace, and SIGKILL ends the rest', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('stubborn', {
        terminationGracePeriodSeconds: 8,
        containers: [
          script('main', "trap '' TERM; while true; do sleep 1; done", {
            lifecycle: { preStop: { sleep: { seconds: 6 } } },
          }),
        ],
      }),
    );
    await run.untilPod('stubborn', 'is ready', (pod) => pod.ready);
    const from = Date.now();
    expect(await deletion('stubborn')).toBeGreaterThan(7.8);
    const last = run.historyOf('stubborn').at(-1);
    const { exitCode, finishedAt = '' } = (last && main(last)?.state?.terminated) ?? {};
    expect(exitCode).toBe(137);
    // Not the grace after the hook, however long what is left of the pod takes to go.
    expect((Date.parse(finishedAt) - from) / 1000).toBeLessThan(13.8);
  });

  test('a second deletion may only take grace away, also in the middle of a hook', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('hurried', {
        terminationGracePeriodSeconds: 600,
        containers: [container('main', { lifecycle: { preStop: { sleep: { seconds: 500 } } } })],
      }),
    );
    await run.untilPod('hurried', 'is ready', (pod) => pod.ready);
    await run.delete('hurried');
    await run.untilPod('hurried', 'is being stopped', (pod) =>
      pod.waits.some((wait) => wait.startsWith('kill-container')),
    );
    // Waited for a tenth of the grace it had.
    await deletion('hurried', 1);
  });

  test('a postStart that fails ends the container, and its policy decides', async () => {
    const { run } = shared;
    const notes = await shared.notes('bad-start');
    const failing = (waits: string) => ({
      postStart: { exec: { command: ['sh', '-c', `${waits}; echo no such luck; exit 7`] } },
    });
    await run.apply(
      podManifest(
        'bad-start',
        notes.in({
          containers: [
            script('main', `${say('start')}; ${idle}`, {
              lifecycle: {
                ...failing('until grep -q start /notes/log; do sleep 0.1; done'),
                preStop: { exec: { command: ['sh', '-c', say('pre-stop')] } },
              },
            }),
          ],
        }),
      ),
    );
    const stuck = await run.untilPod('bad-start', 'was started again', (pod) => (main(pod)?.restartCount ?? 0) >= 1);
    expect(main(stuck)?.state?.running).toBeUndefined();
    expect(stuck.ready).toBe(false);
    // Events do not repeat what a hook said, as it may hold secrets; the pod's status does.
    expect(run.eventsOf('bad-start')).toContain('FailedPostStartHook: PostStartHook failed');
    expect(JSON.stringify(run.history.filter(({ name }) => name === 'bad-start'))).toMatch(
      /exited with 7: no such luck/,
    );
    // And so does what it waits for, once it is to start no more for a while.
    await run.untilPod('bad-start', 'says why it backs off', (pod) =>
      pod.waits.some((wait) => wait.startsWith('restart-back-off') && wait.includes('exited with 7: no such luck')),
    );
    await deletion('bad-start');
    expect((await notes.lines()).slice(0, 2)).toEqual(['start', 'pre-stop']);

    await run.apply(
      podManifest('bad-start-once', {
        restartPolicy: 'Never',
        containers: [container('main', { lifecycle: failing('true') })],
      }),
    );
    const over = await run.untilPod('bad-start-once', 'is over', (pod) => /Succeeded|Failed/.test(pod.phase));
    expect(main(over)?.state?.terminated).toBeDefined();
    expect(main(over)?.restartCount).toBe(0);
  });
});

describe.concurrent('deadline', () => {
  test('a pod that is active for too long has failed, whatever its containers say', async () => {
    const { run } = shared;
    const notes = await shared.notes('late');
    const containers = [script('main', `trap 'exit 0' TERM; ${say('up')}; sleep 1000000 & wait`)];
    const spec = notes.in({ terminationGracePeriodSeconds: 30, containers });
    await run.apply(podManifest('late', spec));
    const { status } = await run.untilPod('late', 'is ready', (pod) => pod.ready);
    await notes.untilLines(['up']);
    const active = (Date.now() - Date.parse(status.startTime ?? '')) / 1000;
    await run.apply(podManifest('late', { ...spec, activeDeadlineSeconds: Math.ceil(active) + 2 }));
    const over = await run.untilPod('late', 'has failed', (pod) => pod.phase === 'Failed');
    expect(over.status).toMatchObject({
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
    });
    expect(main(over)?.state?.terminated?.exitCode).toBe(0);
    expect(run.eventsOf('late').join('\n')).toContain('DeadlineExceeded: Pod was active');
  });
});

describe.concurrent('probes', () => {
  test('readiness by exec comes and goes, and restarts nothing', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('moody', {
        containers: [
          container('main', {
            readinessProbe: { exec: { command: ['cat', '/tmp/ready'] }, periodSeconds: 1, failureThreshold: 1 },
          }),
        ],
      }),
    );
    const unready = await run.untilPod(
      'moody',
      'waits for its probe',
      (pod) => pod.waits.length === 1 && pod.phase === 'Running',
    );
    expect(unready.waits[0]).toBe(
      'readiness-probe container main: readiness probe of container main has not succeeded',
    );
    expect(unready.status.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({
      reason: 'ContainersNotReady',
      message: 'containers with unready status: [main]',
    });
    await run.sh('moody', 'main', 'touch /tmp/ready');
    await run.untilPod('moody', 'is ready', (pod) => pod.ready);
    await run.sh('moody', 'main', 'rm /tmp/ready');
    const again = await run.untilPod('moody', 'is not ready', (pod) => !pod.ready);
    expect(main(again)).toMatchObject({ restartCount: 0, started: true, ready: false });
    expect(run.eventsOf('moody').join('\n')).toMatch(/Unhealthy: Readiness probe failed: cat: .*No such file/);
  });

  test('readiness is asked as soon as a startup probe has passed', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('kicked', {
        containers: [
          script('main', `sleep 1; touch /tmp/warm; ${idle}`, {
            startupProbe: { exec: { command: ['test', '-f', '/tmp/warm'] }, periodSeconds: 1, failureThreshold: 20 },
            readinessProbe: { exec: { command: ['true'] }, periodSeconds: 60 },
            livenessProbe: {
              ...{ exec: { command: ['test', '-f', '/tmp/warm'] }, periodSeconds: 1, failureThreshold: 1 },
              timeoutSeconds: 30,
            },
          }),
        ],
      }),
    );
    // Sooner than its second turn.
    const ready = await run.untilPod('kicked', 'is ready', (pod) => pod.ready, 45_000);
    expect(main(ready)).toMatchObject({ restartCount: 0, started: true });
  });

  test('a startup probe that gives up restarts the container', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('never-up', {
        containers: [
          container('main', { startupProbe: { exec: { command: ['false'] }, periodSeconds: 1, failureThreshold: 1 } }),
        ],
      }),
    );
    const again = await run.untilPod('never-up', 'was started again', (pod) => (main(pod)?.restartCount ?? 0) >= 1);
    expect(main(again)).toMatchObject({ ready: false });
    expect(run.eventsOf('never-up').join('\n')).toContain(
      'Killing: Container main failed startup probe, will be restarted',
    );
  });

  test('http: status, named port, and a liveness failure with a grace of its own', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('web', {
        terminationGracePeriodSeconds: 120,
        containers: [
          // Ignores the stop signal: only the grace of the probe can end it in time.
          script(
            'main',
            "mkdir /www; echo fine > /www/health; trap '' TERM; httpd -h /www -p 8080; while true; do sleep 1; done",
            {
              ports: [{ name: 'http', containerPort: 8080 }],
              // An answer that comes late on a busy machine would be a failure too.
              livenessProbe: {
                httpGet: { port: 'http', path: '/health' },
                periodSeconds: 1,
                timeoutSeconds: 30,
                failureThreshold: 2,
                initialDelaySeconds: 1,
                terminationGracePeriodSeconds: 1,
              },
              readinessProbe: { httpGet: { port: 8080, path: '/health' }, periodSeconds: 1, timeoutSeconds: 30 },
            },
          ),
        ],
      }),
    );
    await run.untilPod('web', 'is ready', (pod) => pod.ready);
    await run.sh('web', 'main', 'rm /www/health');
    const again = await run.untilPod('web', 'runs anew', (pod) => pod.ready && main(pod)?.restartCount === 1);
    expect(main(again)?.lastState?.terminated?.exitCode).toBe(137);
    const events = run.eventsOf('web');
    expect(events).toContain('Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 404');
    expect(events).toContain('Killing: Container main failed liveness probe, will be restarted');
    await deletion('web', 1);
  });

  test('tcp', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('listener', {
        containers: [
          script('main', 'until [ -e /tmp/go ]; do sleep 0.1; done; exec httpd -f -p 9000', {
            readinessProbe: { tcpSocket: { port: 9000 }, periodSeconds: 1 },
          }),
        ],
      }),
    );
    const refused = /^Unhealthy: Readiness probe failed: dial tcp .*refused/i;
    await run.until('the probe has failed', () => run.eventsOf('listener').some((event) => refused.test(event)));
    await run.sh('listener', 'main', 'touch /tmp/go');
    await run.untilPod('listener', 'is ready', (pod) => pod.ready);
  });

  test('grpc: the health service of a pod on the host network', async () => {
    const { run } = shared;
    let status = 'NOT_SERVING';
    const server = new Server();
    const asked: string[] = [];
    server.addService(loadService('health-v1', 'grpc.health.v1.Health').service, {
      check: (call: { request: { service: string } }, reply: (err: null, answer: { status: string }) => void) => {
        asked.push(call.request.service);
        reply(null, { status });
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('0.0.0.0:0', ServerCredentials.createInsecure(), (err, bound) =>
        err ? reject(err) : resolve(bound),
      );
    });
    try {
      await run.apply(
        podManifest('rpc', {
          hostNetwork: true,
          containers: [container('main', { readinessProbe: { grpc: { port, service: 'shop' }, periodSeconds: 1 } })],
        }),
      );
      await run.until('the probe has failed', () =>
        run.eventsOf('rpc').some((event) => event.includes('service unhealthy (responded with "NOT_SERVING")')),
      );
      status = 'SERVING';
      await run.untilPod('rpc', 'is ready', (pod) => pod.ready);
      expect(asked[0]).toBe('shop');
    } finally {
      server.forceShutdown();
    }
  });
});
