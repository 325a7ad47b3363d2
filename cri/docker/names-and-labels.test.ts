import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  dockerLabels,
  fromDockerLabels,
  storedConfig,
  toDockerLabels,
  type StoredContainerConfig,
} from './names-and-labels.js';

const stored: StoredContainerConfig = { metadata: { name: 'c', attempt: 1 }, image: { image: 'i' }, mounts: [] };
const own = { [dockerLabels.type]: 'container', [dockerLabels.sandboxId]: 'abc' };

const key = fc.oneof(
  fc.string().filter((name) => name !== '__proto__'),
  fc.constantFrom('annotation.', 'annotation.a', 'annotation.annotation.a', 'a', ...Object.values(dockerLabels)),
);
const texts = fc.dictionary(key, fc.string());

test('labels and annotations of any name come back as they were, beside what is ours', () => {
  fc.assert(
    fc.property(texts, texts, (labels, annotations) => {
      const all = toDockerLabels({ labels, annotations }, own, stored);
      expect(all).toMatchObject(own);
      const back = fromDockerLabels(all);
      expect({ ...back.labels }).toEqual({ ...labels });
      expect({ ...back.annotations }).toEqual({ ...annotations });
      expect(storedConfig<StoredContainerConfig>(all)).toMatchObject(stored);
    }),
  );
});

test('what older versions wrote is read as they read it', () => {
  const all = { a: 'label', 'annotation.b': 'annotation', ...own, [dockerLabels.config]: JSON.stringify(stored) };
  expect(fromDockerLabels(all)).toEqual({ labels: { a: 'label' }, annotations: { b: 'annotation' } });
  expect(fromDockerLabels({ a: 'of a container of somebody else' })).toEqual({
    labels: { a: 'of a container of somebody else' },
    annotations: {},
  });
});
