import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { secretMask } from './secret-mask.js';

test('no secret survives the mask, plain or in base64', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 4 }), fc.string(), fc.string(), (secret, before, after) => {
      const mask = secretMask({ key: secret });
      const encoded = Buffer.from(secret).toString('base64');
      const masked = mask(`${before}${secret}${after}${encoded}`);
      // The mask itself may spell a secret of asterisks.
      fc.pre(!'***'.includes(secret) && !`${before}***${after}***`.includes(secret));
      expect(masked).not.toContain(secret);
      expect(masked).not.toContain(encoded);
    }),
  );
});
