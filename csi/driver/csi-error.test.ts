import { expect, test } from 'vitest';
import { errorText } from '../../base/errors.js';
import { WireError, type GrpcCode } from '../../proto/wire/index.js';
import { csiErrorOfCall } from './csi-error.js';

const wire = (code: GrpcCode, flags: { streamBroken?: boolean; garbled?: boolean } = {}): WireError =>
  new WireError('login with open-sesame failed', { code, streamBroken: false, garbled: false, ...flags });

test.each<[GrpcCode, 'final' | 'uncertain']>([
  ['cancelled', 'uncertain'],
  ['unknown', 'final'],
  ['invalid-argument', 'final'],
  ['deadline-exceeded', 'uncertain'],
  ['not-found', 'final'],
  ['already-exists', 'final'],
  ['permission-denied', 'final'],
  ['resource-exhausted', 'uncertain'],
  ['failed-precondition', 'final'],
  ['aborted', 'uncertain'],
  ['out-of-range', 'final'],
  ['unimplemented', 'final'],
  ['internal', 'final'],
  ['unavailable', 'uncertain'],
  ['data-loss', 'final'],
  ['unauthenticated', 'final'],
])('%s is %s', (code, certainty) => {
  expect(csiErrorOfCall('d', 'NodeStageVolume', wire(code), 'w').failure.certainty).toBe(certainty);
});

test('an answer that was cut off or cannot be read may have been a success', () => {
  for (const flag of ['streamBroken', 'garbled'])
    expect(csiErrorOfCall('d', 'NodeStageVolume', wire('internal', { [flag]: true }), 'w').failure.certainty).toBe(
      'uncertain',
    );
});

test('what was masked does not come back with the cause', () => {
  const masked = csiErrorOfCall('d', 'NodeStageVolume', wire('internal'), 'login with *** failed');
  expect(errorText(masked)).toBe('call NodeStageVolume of CSI driver d: internal: login with *** failed');
  expect(masked.cause).toBeUndefined();
});
