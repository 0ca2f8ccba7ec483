'use strict';
// Backstage's catalog with the provider of the rows that load.js writes, and with a real importer of Cloud SQL instances
// whose Google is made up: see importer.js.
const { createBackend } = require('@backstage/backend-defaults');
const { createBackendModule } = require('@backstage/backend-plugin-api');
const { catalogProcessingExtensionPoint } = require('@backstage/plugin-catalog-node');

const backend = createBackend();
backend.add(require('@backstage/plugin-catalog-backend'));
backend.add(require('./importer'));
backend.add(
  createBackendModule({
    pluginId: 'catalog',
    moduleId: 'bulk',
    register(module) {
      module.registerInit({
        deps: { catalog: catalogProcessingExtensionPoint },
        async init({ catalog }) {
          // Without it, Backstage removes what it does not know the provider of.
          catalog.addEntityProvider({ getProviderName: () => 'bulk', async connect() {} });
        },
      });
    },
  }),
);
backend.start().catch(error => {
  console.error(error);
  process.exit(1);
});
