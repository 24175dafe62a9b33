/* Symbols that the real TensorRT bindings want from libnvinfer and its companions, so that they
   can be imported where no TensorRT is: nothing here does anything. */
#define POINTER(name)  \
    void *name(void) { \
        return 0;      \
    }

POINTER(createInferBuilder_INTERNAL)
POINTER(createInferRuntime_INTERNAL)
POINTER(createInferRefitter_INTERNAL)
POINTER(createNvOnnxParser_INTERNAL)
POINTER(createNvOnnxParserRefitter_INTERNAL)
POINTER(getPluginRegistry)
POINTER(getBuilderPluginRegistry)

int getNvOnnxParserVersion(void) { return 0; }
int initLibNvInferPlugins(void) { return 1; }

/* 8.x: createUffParser(), FieldMap::FieldMap(…), createCaffeParser(), shutdownProtobufLibrary() */
POINTER(_ZN11nvuffparser15createUffParserEv)
POINTER(_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi)
POINTER(_ZN14nvcaffeparser117createCaffeParserEv)
POINTER(_ZN14nvcaffeparser123shutdownProtobufLibraryEv)
