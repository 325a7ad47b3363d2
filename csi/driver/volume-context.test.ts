import { expect, test } from 'vitest';
import {
  maskRequest,
  publishVolumeContext,
  secretsOf,
  tokensKey,
  type PublishContextQuestion,
} from './volume-context.js';

const question: PublishContextQuestion = {
  attributes: { share: '/a', 'csi.storage.k8s.io/pod.name': 'forged' },
  secrets: { user: 'u' },
  pod: { name: 'web', namespace: 'shop', uid: 'u1', serviceAccountName: 'sa' },
  inline: false,
  tokens: { vault: { token: 'eyJ', expirationTimestamp: 'later' } },
  tokensInSecrets: false,
};

test('pod and tokens join the attributes, and win over them', () => {
  expect(publishVolumeContext(question)).toEqual({
    volumeContext: {
      share: '/a',
      'csi.storage.k8s.io/pod.name': 'web',
      'csi.storage.k8s.io/pod.namespace': 'shop',
      'csi.storage.k8s.io/pod.uid': 'u1',
      'csi.storage.k8s.io/serviceAccount.name': 'sa',
      'csi.storage.k8s.io/ephemeral': 'false',
      [tokensKey]: '{"vault":{"token":"eyJ","expirationTimestamp":"later"}}',
    },
    secrets: { user: 'u' },
  });
});

test('a driver that wants them there gets the tokens as a secret; one that wants nothing gets nothing', () => {
  const apart = publishVolumeContext({ ...question, tokensInSecrets: true });
  expect(apart.secrets).toHaveProperty([tokensKey]);
  expect(apart.volumeContext).not.toHaveProperty([tokensKey]);
  const nothing = publishVolumeContext({ ...question, pod: undefined, tokens: undefined });
  expect(nothing.volumeContext).toEqual(question.attributes);
  expect(publishVolumeContext({ ...question, pod: undefined, tokens: {} }).volumeContext).toEqual(question.attributes);
});

test('what is recorded holds keys and no values', () => {
  const { volumeContext } = publishVolumeContext(question);
  const request = { volumeId: 'v', secrets: { password: 'p1' }, volumeContext };
  expect(maskRequest(request)).toEqual({
    volumeId: 'v',
    secrets: { password: '***' },
    volumeContext: { ...volumeContext, [tokensKey]: '***' },
  });
  expect(request.secrets.password).toBe('p1');
  expect(secretsOf(request)).toEqual({ password: 'p1', 'token vault': 'eyJ' });
});
