"""What a model really takes of each device, GPUs included, against what the plan says.

    loaded      loads a model in a child process and reports llama.cpp's buffers and the devices' free memory
    remote      GPUs in processes of their own: llama.cpp's RPC back end, whose devices are of type GPU
    hook        makes llama.cpp's registry list those, in any process that has this folder on its path

A machine without a GPU checks several this way, if llama.cpp was built with the back end:

    CMAKE_ARGS="-DGGML_RPC=ON" pip install --no-binary llama-cpp-python --force-reinstall llama-cpp-python==0.3.36
"""
