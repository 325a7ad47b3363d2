import { expect, test } from 'vitest';
import { checkConfiguration } from './check-configuration.js';

test('options of the agent are checked with its files', async () => {
  const group = await checkConfiguration({ kubeconfig: '/k', nodeIp: '10.0.0.7,10.0.0.8', kubelet: { v: '2' } });
  expect(group?.findings).toEqual([
    expect.objectContaining({
      subject: '--node-ip',
      level: 'lack',
      found: expect.stringContaining('different families'),
    }),
  ]);
  const good = await checkConfiguration({ kubeconfig: '/k', nodeIp: '10.0.0.7', kubelet: { v: '2' } });
  expect(good?.findings.map(({ subject, level }) => [subject, level])).toEqual([
    ['--kubeconfig, --node-ip, --v', 'ok'],
    ['--v', 'note'],
  ]);
  expect(await checkConfiguration({})).toBeUndefined();
});
