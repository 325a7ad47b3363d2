import { expect, test } from 'vitest';
import type { ClusterTrustBundleProjection } from '../../api/index.js';
import type { ClusterTrustBundle } from '../../controlplane/certificate-objects.js';
import { trustAnchors } from './trust-anchors.js';

const [one, two, three] = ['AAAA', 'BBBB', 'CCCC'];
const block = (content = ''): string => `-----BEGIN CERTIFICATE-----\n${content}\n-----END CERTIFICATE-----\n`;

function bundle(name: string, signerName: string, labels: Record<string, string>, trustBundle: string) {
  return { metadata: { name, labels }, spec: { signerName, trustBundle } } satisfies ClusterTrustBundle;
}

const bundles: readonly ClusterTrustBundle[] = [
  bundle('s:b', 'example.com/s', { tier: 'new' }, `${block(two)}# words\n${block(three)}`),
  bundle('s:a', 'example.com/s', { tier: 'old' }, `note: x\n${block(one)}${block(two)}`),
  bundle('other', 'example.com/t', { tier: 'new' }, block(three)),
  bundle('plain', '', {}, `-----BEGIN CERTIFICATE-----\r\nhead: x\r\n\r\n${one}\r\n-----END CERTIFICATE-----\r\n`),
];
const known = {
  named: (name: string) => Promise.resolve(bundles.find(({ metadata }) => metadata?.name === name)),
  all: () => Promise.resolve(bundles),
};
const anchors = (projection: Omit<ClusterTrustBundleProjection, 'path'>): Promise<string> =>
  trustAnchors({ path: 'x', ...projection }, known);

test('a bundle by its name: certificates only, without what stands around them', async () => {
  expect(await anchors({ name: 'plain' })).toBe(block(one));
});

test('bundles of a signer that match, each certificate once, always in one order', async () => {
  const signerName = 'example.com/s';
  expect(await anchors({ signerName, labelSelector: {} })).toBe([one, two, three].map(block).join(''));
  expect(await anchors({ signerName, labelSelector: { matchLabels: { tier: 'old' } } })).toBe(block(one) + block(two));
});

test('what is not there is an error that says what was looked for, unless it is optional', async () => {
  await expect(anchors({ name: 'none' })).rejects.toThrow('clustertrustbundle "none" not found');
  expect(await anchors({ name: 'none', optional: true })).toBe('');
  const signerName = 'example.com/s';
  // No selector chooses nothing.
  await expect(anchors({ signerName })).rejects.toThrow(
    'combination of signerName and labelSelector matched zero ClusterTrustBundles (signerName "example.com/s", labelSelector null)',
  );
  expect(await anchors({ signerName, optional: true })).toBe('');
});
