import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { defaultCapabilities, parseDriverAnswer } from './driver-answer.js';

const nothing = {
  message: '',
  device: '',
  volumeName: '',
  attached: false,
  capabilities: defaultCapabilities,
  volumeNewSize: 0,
};

test.each([
  ['{"status":"Success"}', { ...nothing, status: 'success' }],
  [' {"Status":"Success","DEVICE":"/dev/sdx"}\n', { ...nothing, status: 'success', device: '/dev/sdx' }],
  ['{"status":"Failure","message":"no disk"}', { ...nothing, status: 'failure', message: 'no disk' }],
  ['{"status":"Not supported"}', { ...nothing, status: 'not-supported' }],
  ['{"status":"Oops","message":"x"}', { ...nothing, status: 'failure', message: 'status "Oops": x' }],
  ['{}', { ...nothing, status: 'failure', message: 'status ""' }],
  [
    '{"status":"Success","capabilities":{"attach":false,"supportsMetrics":true}}',
    { ...nothing, status: 'success', capabilities: { ...defaultCapabilities, attach: false, supportsMetrics: true } },
  ],
  [
    '{"status":"Success","attached":true,"volumeNewSize":1073741824,"volumeName":"v","extra":[1]}',
    { ...nothing, status: 'success', attached: true, volumeNewSize: 1_073_741_824, volumeName: 'v' },
  ],
  ['{"status":"Success","message":null,"capabilities":null}', { ...nothing, status: 'success' }],
])('%s', (output, answer) => {
  expect(parseDriverAnswer(output)).toEqual(answer);
});

test.each([
  ['', 'it printed nothing'],
  ['  \n', 'it printed nothing'],
  ['mount: ok', 'it did not print JSON: mount: ok'],
  ['warning\n{"status":"Success"}', 'it did not print JSON'],
  ['{"status":"Success"}{"status":"Success"}', 'it did not print JSON'],
  ['[]', 'it did not print a JSON object'],
  ['null', 'it did not print a JSON object'],
  ['{"status":"Success","attached":"true"}', 'attached is not a boolean'],
  ['{"status":1}', 'status is not a string'],
  ['{"status":"Success","capabilities":true}', 'capabilities is not an object'],
])('refuses %j', (output, reason) => {
  expect(parseDriverAnswer(output)).toContain(reason);
});

test('never throws, whatever a driver prints', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (output) => {
      const answer = parseDriverAnswer(output);
      expect(typeof answer === 'string' || typeof answer === 'object').toBe(true);
    }),
  );
});
