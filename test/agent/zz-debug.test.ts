import { expect, test } from 'vitest';
import { container, podManifest } from './pod-objects.js';
import { SharedAgent } from './shared-agent.js';
const shared = SharedAgent.use();
for (let round = 0; round < 14; round++)
  test(`round ${round}`, async () => {
    const names = Array.from({ length: 10 }, (_, at) => `late-${round}-${at}`);
    for (const name of names) await shared.run.apply(podManifest(name, { containers: [container('main')] }));
    await shared.run.until('one is ready', (run) => names.filter((name) => run.find(name)?.ready).length >= 1 + (round % 3));
    const old = shared.run;
    const run = round % 2 ? await shared.stopAndStart() : await shared.restart();
    await run.until('all are ready', () => names.every((name) => run.find(name)?.ready));
    const bad = names.filter((name) => run.pod(name).restarts !== 0);
    for (const name of bad)
      console.log(
        'BAD', round, [...old.historyOf(name), ...run.historyOf(name)].map((pod) => JSON.stringify(pod.status.containerStatuses?.[0]?.state) + pod.waits[0]).join('\n  '), '\n  ' + old.eventsOf(name).slice(-4).join('|') + ' || ' + run.eventsOf(name).join('|') + old.points.slice(-5).join() , run.log.slice(0, 1500),
      );
    for (const name of names) await run.delete(name, 1);
    await run.until('gone', () => names.every((name) => run.find(name) === undefined));
    expect(1).toBe(1);
  });
