import { describe, expect, test } from 'vitest';
import type { Container, ContainerRestartRule } from '../api/index.js';
import { mayRestartAllContainers, restartsAllContainers, shouldRestart, type RestartPolicy } from './restart-policy.js';
import { testPod } from './pod-fixtures.js';

const rule = (
  action: ContainerRestartRule['action'],
  operator: 'In' | 'NotIn',
  ...values: number[]
): ContainerRestartRule => ({
  action,
  exitCodes: { operator, values },
});

describe('shouldRestart', () => {
  const never = { restartPolicy: 'Never' as const };
  test.each<[string, RestartPolicy, Pick<Container, 'restartPolicy' | 'restartPolicyRules'>, number, boolean]>([
    ['Always after success', 'Always', {}, 0, true],
    ['OnFailure after success', 'OnFailure', {}, 0, false],
    ['OnFailure after failure', 'OnFailure', {}, 1, true],
    ['Never after failure', 'Never', {}, 1, false],
    ['the policy of the container goes before that of the pod', 'Always', never, 1, false],
    ['and the other way round', 'Never', { restartPolicy: 'OnFailure' }, 1, true],
    ['a rule goes before both', 'Never', { ...never, restartPolicyRules: [rule('Restart', 'In', 42)] }, 42, true],
    ['a rule for another code', 'Always', { ...never, restartPolicyRules: [rule('Restart', 'In', 42)] }, 41, false],
    ['a rule for all other codes', 'Never', { ...never, restartPolicyRules: [rule('Restart', 'NotIn', 42)] }, 41, true],
    ['a rule without a policy of its container', 'Never', { restartPolicyRules: [rule('Restart', 'In', 1)] }, 1, false],
  ])('%s', (_, restartPolicy, container, exitCode, expected) => {
    expect(shouldRestart(testPod({ restartPolicy }), container, exitCode)).toBe(expected);
  });
});

test('the first rule that matches decides whether all containers start over', () => {
  const rules = [rule('Restart', 'In', 1), rule('RestartAllContainers', 'NotIn', 0)];
  expect(restartsAllContainers({ restartPolicyRules: rules }, 1)).toBe(false);
  expect(restartsAllContainers({ restartPolicyRules: rules }, 2)).toBe(true);
  expect(restartsAllContainers({ restartPolicyRules: rules }, 0)).toBe(false);
  expect(mayRestartAllContainers(testPod({ containers: [{ name: 'a', restartPolicyRules: rules }] }))).toBe(true);
  expect(mayRestartAllContainers(testPod())).toBe(false);
});
