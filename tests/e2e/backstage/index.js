'use strict';
// Backstage's catalog and its auth backend, and nothing else.
const { createBackend } = require('@backstage/backend-defaults');

const backend = createBackend();
backend.add(require('@backstage/plugin-auth-backend'));
backend.add(require('@backstage/plugin-auth-backend-module-guest-provider'));
backend.add(require('@backstage/plugin-catalog-backend'));
backend.start().catch(error => {
  console.error(error);
  process.exit(1);
});
